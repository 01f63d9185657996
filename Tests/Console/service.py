"""A real service with sample data, a data platform that refuses or takes what it is sent, and customers."""
import concurrent.futures
import http.server
import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request

PATIENCE = 60


class Failure(Exception):
    """A claim that does not hold."""


def check(claim, holds, detail=""):
    if not holds:
        raise Failure(f"{claim}\n{detail}".rstrip())


def eventually(claim, condition, patience=PATIENCE):
    """Waits until the condition holds, and returns its value."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        check(f"within {patience} s: {claim}", time.monotonic() < end, f"last seen: {value!r}")
        time.sleep(0.05)


class Platform:
    """A data platform on a free port. It answers every post with `status`."""

    def __init__(self):
        self.status = 422
        platform = self

        class Posts(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(platform.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Posts)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Service:
    """`firstcome serve` on a free port, with a data folder of its own and the sample data of `firstcome demo`."""

    def __init__(self, binary, folder, platform):
        self.binary, self.data, self.log = str(binary), str(folder / "data"), folder / "serve.log"
        self.platform, self.process, self.port = platform, None, 0
        self.run("demo", "--data", self.data)
        self.admin = self.run("token", "--data", self.data, "--admin").strip()
        self.users = self.run("token", "--data", self.data, "--user", "1-300").split()

    def run(self, *words):
        return subprocess.run([self.binary, *words], check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True).stdout

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        words = ["serve", "--data", self.data, "--port", str(self.port), "--data-platform", self.platform.url, "--data-platform-tries", "1"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, *words], stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True,
                env={**os.environ, "FIRSTCOME_DATA_PLATFORM_SECRET": "the-secret-of-the-platform-7f3a"})
        line = self.process.stdout.readline()
        check("the service starts", "http://" in line, self.journal())
        self.port = int(line.split("http://")[1].split()[0].rstrip("/").rsplit(":", 1)[1])
        self.url = f"http://127.0.0.1:{self.port}"
        eventually("the service is ready", lambda: self.call("GET", "/readyz")[0] == 200, 120)

    def stop(self):
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def journal(self):
        return self.log.read_text(errors="replace")[-4_000:]

    def call(self, method, path, body=None, token=None, headers=None):
        """The status and the JSON of an answer; 0 where nothing answers."""
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, parsed(answer.read())
        except urllib.error.HTTPError as answer:
            return answer.code, parsed(answer.read())
        except OSError:
            return 0, None

    def patiently(self, method, path, body=None, token=None):
        """The final answer. A busy service refuses requests without doing anything, and asks to come again."""
        end = time.monotonic() + PATIENCE
        while True:
            answer = self.call(method, path, body, token)
            if answer[0] not in (429, 503) or time.monotonic() > end:
                return answer
            time.sleep(0.2)

    def must(self, status, method, path, body=None, token=None):
        answer = self.patiently(method, path, body, token or self.admin)
        check(f"{method} {path} is answered {status}", answer[0] == status, answer)
        return answer[1]

    def campaign(self, coupon):
        return self.must(200, "GET", f"/api/v1/coupons/{coupon}")

    def claim(self, coupon, user):
        """The final status of a claim."""
        return self.patiently("POST", f"/api/v1/coupons/{coupon}/claims", token=self.users[user - 1])[0]

    def buy(self, user):
        """Charges, orders the first product and pays."""
        token = self.users[user - 1]
        self.must(201, "POST", f"/api/v1/users/{user}/balance/charges", {"amount": 500_000}, token)
        product = self.must(200, "GET", "/api/v1/products?limit=1")["items"][0]["productId"]
        order = self.must(201, "POST", "/api/v1/orders", {"items": [{"productId": product, "quantity": 1}]}, token)
        return self.must(201, "POST", "/api/v1/payments", {"orderId": order["orderId"]}, token)


class Crowd:
    """Customers who do something at a steady rate, beside the test. Leaving waits for them."""

    def __init__(self, act, users, per_second):
        self.act, self.users, self.pause = act, list(users), 1 / per_second
        self.ended = threading.Event()

    def __enter__(self):
        self.pool = concurrent.futures.ThreadPoolExecutor(9)
        self.leader = self.pool.submit(self.lead)
        return self

    def lead(self):
        acts = []
        for user in self.users:
            acts.append(self.pool.submit(self.act, user))
            if self.ended.wait(self.pause):
                break
        return [act.result() for act in acts]

    def __exit__(self, kind, *_):
        if kind:
            self.ended.set()
        try:
            self.results = self.leader.result()
        except Exception:
            # What the customers met does not hide what the test did.
            if not kind:
                raise
        finally:
            self.pool.shutdown()


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        return text.decode(errors="replace")
