"""The installed service, under systemd or without it."""
import os
import pathlib
import shlex
import signal
import socket
import subprocess

from debian import check, eventually

UNIT = "lib/systemd/system/firstcome.service"


class UnderSystemd:
    """The service as its unit runs it, in a container in which systemd was booted."""

    name = "under systemd"
    port = 8080

    def __init__(self, debian):
        self.debian = debian

    def run(self, *words):
        return self.debian.do(*words)

    def start(self):
        self.run("systemctl", "start", "firstcome")

    def stop(self):
        self.run("systemctl", "stop", "firstcome")
        check("a stopped service has ended in order", self.show("Result") == "success", self.journal())
        check("nothing of it is left", self.processes() == "")

    def show(self, name):
        return self.run("systemctl", "show", "firstcome", f"--property={name}", "--value").strip()

    def processes(self):
        """The arguments of every process of the service's account, a line each."""
        script = """
            for process in /proc/[0-9]*; do
                [ "$(stat --format=%U $process 2>/dev/null)" = firstcome ] && tr '\\0' ' ' < $process/cmdline && echo
            done; true
            """
        return self.debian.inside(["sh", "-c", script]).stdout

    def journal(self):
        return self.debian.inside(["journalctl", "--no-pager", "--unit=firstcome", "--lines=60", "--output=cat"]).stdout


class WithoutSystemd:
    """The service as its unit says, started by hand: for a machine that does not let systemd boot in a container."""

    name = "without systemd"

    def __init__(self, debian):
        self.debian = debian
        self.process = None
        self.notices = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def run(self, *words):
        return self.debian.prepare(list(words))

    def start(self):
        root = self.debian.root
        lines = (root / UNIT).read_text().splitlines()
        command = next(line.removeprefix("ExecStart=") for line in lines if line.startswith("ExecStart="))
        account = next(line.removeprefix("User=") for line in lines if line.startswith("User="))
        variables = [line.removeprefix("Environment=") for line in lines if line.startswith("Environment=")]
        for file in [line.removeprefix("EnvironmentFile=-") for line in lines if line.startswith("EnvironmentFile=")]:
            text = (root / file.lstrip("/")).read_text()
            variables += [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
        path = root / "run/notify"
        path.unlink(missing_ok=True)
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(str(path))
        self.notices.settimeout(1)
        path.chmod(0o666)
        variables += ["NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=2000000", "PATH=/usr/local/bin:/usr/bin:/bin"]
        script = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot --userspec="$1:$1" "$0" env -i "${@:2}"'
        self.log = open(self.debian.folder / "service.log", "ab")
        self.process = subprocess.Popen(
            [
                "unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", script, root, account, *variables,
                *shlex.split(command),
            ],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.await_notice("READY=1")
        self.await_notice("WATCHDOG=1")

    def await_notice(self, wanted):
        def heard():
            check(f"the service runs until it says {wanted}", self.process.poll() is None, self.journal())
            try:
                return wanted in self.notices.recv(4_096).decode().splitlines()
            except TimeoutError:
                return False
        eventually(f"the service says {wanted}", heard)

    def stop(self):
        # unshare passes no signals on; its only child is the service.
        child = int(pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text())
        os.kill(child, signal.SIGTERM)
        self.await_notice("STOPPING=1")
        check("a stopped service has ended in order", self.process.wait(60) == 0, self.journal())
        self.notices.close()

    def journal(self):
        return (self.debian.folder / "service.log").read_text()[-4_000:]
