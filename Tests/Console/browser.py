"""Debian's Chromium, headless, as somebody uses it: language, colour scheme and width; and what it logged and requested."""
import base64
import json
import os
import re
import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from service import check, eventually

# The ratio of contrast of every visible text that does not reach WCAG's AA, with the text.
CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const rgb = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return canvas.getImageData(0, 0, 1, 1).data; };
const light = color => { const [r, g, b] = [...rgb(color)].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
const low = [];
for (const element of document.querySelectorAll('body *')) {
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  if (!own || !element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true }) || element.matches('option, noscript, .spoken, .skip')) continue;
  let behind = element;
  while (behind && rgb(getComputedStyle(behind).backgroundColor)[3] < 255) behind = behind.parentElement;
  const style = getComputedStyle(element), size = parseFloat(style.fontSize), a = light(style.color), b = light(behind ? getComputedStyle(behind).backgroundColor : 'Canvas');
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05), large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
  if (!element.closest(':disabled') && ratio < (large ? 3 : 4.5)) low.push([ratio.toFixed(2), element.textContent.trim().slice(0, 40)]);
}
return low;
"""


class Browser:
    def __init__(self, url, language="en-US", dark=False, width=1280, height=900):
        self.url, self.seen = url, []
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        flags = [
            "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={self.profile.name}", f"--window-size={width},{height}", f"--lang={language}"]
        if os.geteuid() == 0:
            # Chromium's sandbox does not work for root.
            flags.append("--no-sandbox")
        for flag in flags:
            options.add_argument(flag)
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        try:
            self.driver = webdriver.Chrome(service=Driver("/usr/bin/chromedriver"), options=options)
        except BaseException:
            self.profile.cleanup()
            raise
        try:
            self.driver.set_script_timeout(30)
            self.driver.set_page_load_timeout(60)
            self.media(dark)
            self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
            self.open()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.driver.quit()
        self.profile.cleanup()

    def open(self):
        self.driver.get(f"{self.url}/console")

    def command(self, name, **parameters):
        return self.driver.execute_cdp_cmd(name, parameters)

    def media(self, dark, still=False):
        self.command("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if still else "no-preference"}])

    def script(self, text, *arguments):
        return self.driver.execute_script(text, *arguments)

    # ---- What is seen

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """The text as it is shown; empty where it is hidden."""
        return self.script("return document.querySelector(arguments[0])?.innerText.trim() ?? ''", selector)

    def texts(self, selector):
        return self.script("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText.trim())", selector)

    def number(self, selector):
        """A number as it is shown, without its unit; None where none is."""
        digits = re.sub(r"[^\d.]", "", self.text(selector))
        return float(digits) if digits else None

    def is_shown(self, selector):
        return self.script("return document.querySelector(arguments[0])?.checkVisibility() ?? false", selector)

    def await_text(self, selector, wanted):
        return eventually(f"{selector} reads {wanted!r}", lambda: wanted in self.text(selector) or None)

    @property
    def focused(self):
        """The id of what has the focus, or its text."""
        return self.script("const e = document.activeElement; return e.id || e.textContent.trim()")

    # ---- What is done

    def click(self, selector):
        eventually(f"{selector} can be clicked", lambda: self.is_shown(selector))
        self.find(selector).click()

    def type(self, selector, text):
        """Types into an emptied field."""
        field = self.find(selector)
        field.clear()
        field.send_keys(text)

    def put(self, selector, value):
        """Sets a field that takes typing in a form of its own, such as a date, or more than can be typed."""
        self.script("arguments[0].value = arguments[1]", self.find(selector), value)

    def press(self, *keys):
        """Presses keys wherever the focus is."""
        for key in keys:
            webdriver.ActionChains(self.driver).send_keys(key).perform()

    def press_shift_tab(self):
        webdriver.ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()

    def enter(self, token):
        """Signs in, and waits for the first snapshot."""
        eventually("there is a form for the token", lambda: self.is_shown("#token"))
        self.type("#token", token)
        self.press(Keys.ENTER)
        eventually("the board is shown", lambda: self.is_shown("#remaining") or self.is_shown("#no-sale"))

    def watch(self, coupon):
        self.script(
            "const s = document.getElementById('campaign'); s.value = arguments[0]; s.dispatchEvent(new Event('change', { bubbles: true }))",
            str(coupon))

    # ---- What must hold throughout

    def low_contrast(self):
        return self.script(CONTRAST)

    def overflow(self):
        """By how many pixels the page is wider than the window."""
        return self.script("return document.documentElement.scrollWidth - innerWidth")

    def background(self):
        """How light the page's background is, from 0 to 255."""
        return max(map(int, re.findall(r"\d+", self.script("return getComputedStyle(document.body).backgroundColor"))[:3]))

    def check_log(self, allowed=()):
        """Nothing was logged but the answers that the test provoked, which Chromium calls errors of the network."""
        for entry in self.driver.get_log("browser"):
            status = re.search(r"status of (\d+)", entry["message"])
            provoked = entry.get("source") == "network" and ("lost" in allowed or status and int(status[1]) in allowed)
            check("the browser logs no error", provoked, entry["message"])
        outside = [url for url in self.requests() if not url.startswith((f"{self.url}/", "data:", "chrome"))]
        check("no request leaves the origin", outside == [], outside[:5])

    def requests(self):
        """The URL of every request since the start, with what was sent."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.seen.append(message["params"]["request"]["url"])
        return self.seen

    def screenshot(self, folder, name, whole=True):
        if folder is None:
            return
        clip = {}
        if whole:
            width, height = self.script("return [innerWidth, document.documentElement.scrollHeight]")
            clip = {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}}
        (folder / f"{name}.png").write_bytes(base64.b64decode(self.command("Page.captureScreenshot", **clip)["data"]))
