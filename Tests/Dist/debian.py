"""A minimal Debian of its own, in which packages are installed and, where this machine allows it, systemd runs.

Everything that is started or mounted ends with this process: the Debian runs in namespaces of its own.
"""
import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

CLONE_NEWNET = 0x40000000
PATIENCE = 180


class Failure(Exception):
    """A claim that does not hold."""


def check(claim, holds, detail=""):
    if not holds:
        raise Failure(f"{claim}\n{detail}".rstrip())


def run(words, **options):
    """Runs a program to its end, and returns it with its output as text."""
    return subprocess.run([str(word) for word in words], text=True, stdin=subprocess.DEVNULL, capture_output=True, **options)


def must(words, **options):
    result = run(words, **options)
    check(f"{' '.join(map(str, words))} succeeds", result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:])
    return result.stdout


def eventually(claim, condition, patience=PATIENCE):
    """Waits until the condition holds, and returns its value."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        check(f"within {patience} s: {claim}", time.monotonic() < end)
        time.sleep(0.05)


def sources():
    """Where this machine gets Debian's packages from, as lines of sources.list."""
    form = "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)"
    query = ["apt-get", "indextargets", "--format", form, "Created-By: Packages", "Origin: Debian"]
    if not must(query).strip():
        # A fresh machine may have no lists yet, and apt knows an origin by its list alone.
        must(["apt-get", "update", "--quiet"])
    found = sorted({line for line in must(query).splitlines() if line.split("\t")[2] == "main"})
    check("apt knows a source of Debian's packages", found)
    return ["deb " + line.replace("\t", " ") for line in found]


def base(cache):
    """The path of a tar archive of a minimal Debian of this machine's release, without Swift. Made once a week."""
    values = dict(line.split("=", 1) for line in pathlib.Path("/etc/os-release").read_text().splitlines() if "=" in line)
    release = values.get("VERSION_CODENAME", "").strip('"')
    check("the machine is a Debian", values.get("ID") == "debian" and release)
    archive = cache / f"debian-{release}.tar"
    if not archive.exists() or time.time() - archive.stat().st_mtime > 7 * 86_400:
        print(f"making a minimal Debian {release}", flush=True)
        draft = archive.with_suffix(".draft.tar")
        draft.unlink(missing_ok=True)
        must(["mmdebstrap", "--variant=minbase", "--include=systemd,systemd-sysv", release, draft, *sources()])
        draft.rename(archive)
    return archive


class Debian:
    """A Debian in a folder, whose packages come from this machine's sources."""

    def __init__(self, archive):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="firstcome-dist-"))
        self.root = self.folder / "root"
        self.root.mkdir(mode=0o755)
        self.folder.chmod(0o755)
        self.container = None
        self.leader = None
        self.log = self.folder / "console"
        must(["tar", "--extract", "--file", archive, "--directory", self.root, "--exclude=./dev/*"])
        for name in ("resolv.conf", "hosts"):
            shutil.copy(f"/etc/{name}", self.root / "etc" / name)
        # What this machine needs to reach its sources, such as a proxy.
        settings = must(["apt-config", "dump", "--format", "%F \"%v\";%n", "Acquire"])
        (self.root / "etc/apt/apt.conf.d/99machine").write_text(settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- Before it is booted: with the network of this machine, and without any service

    def prepare(self, words):
        """Runs a command in the folder, with this machine's network and namespaces of its own for mounts and processes."""
        script = 'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"'
        return must(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, self.root, *words], env=self.environment)

    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8",
        "HOME": "/root", "TERM": "dumb",
    }

    # ---- Booted: a container with systemd and a network of its own

    def boot(self):
        """Boots systemd in the Debian; false where this machine does not allow it."""
        console = open(self.log, "wb")
        self.container = subprocess.Popen(
            [
                "unshare", "--mount", "--fork", "--kill-child", "systemd-nspawn", "--quiet", "--register=no", "--keep-unit",
                "--private-network", "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=pipe", "--boot",
                f"--directory={self.root}", "systemd.unit=multi-user.target",
            ],
            stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        console.close()
        end = time.monotonic() + 90
        while time.monotonic() < end and self.container.poll() is None:
            self.leader = self.leader or self.find_leader()
            if self.leader and self.inside(["systemctl", "is-system-running"]).stdout.strip() in ("running", "degraded"):
                enter_network(self.leader)
                return True
            time.sleep(0.1)
        self.halt()
        return False

    def find_leader(self):
        """The process id of the container's systemd: a descendant of nspawn in another namespace of processes."""
        own = os.readlink("/proc/self/ns/pid")
        for pid in descendants(self.container.pid):
            try:
                if os.readlink(f"/proc/{pid}/ns/pid") != own and pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                    return pid
            except OSError:
                continue
        return None

    def inside(self, words, **options):
        """Runs a command in the booted container, as root."""
        command = ["nsenter", "--target", self.leader, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        return run([*command, "--", *words], env=self.environment, **options)

    def do(self, *words):
        """Runs a command that must succeed, and returns what it prints."""
        result = self.inside(words)
        check(f"in the container: {' '.join(words)}", result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:])
        return result.stdout

    def halt(self):
        if self.container is None:
            return
        if self.leader:
            # SIGRTMIN+4 asks systemd to power off.
            try:
                os.kill(self.leader, signal.SIGRTMIN + 4)
                self.container.wait(30)
            except (OSError, subprocess.TimeoutExpired):
                pass
        if self.container.poll() is None:
            # Its child is the first process of the container, with which all others end.
            self.container.kill()
            self.container.wait()
        self.container = self.leader = None


def descendants(pid):
    try:
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield int(child)
        yield from descendants(int(child))


def enter_network(pid):
    """From now on this process connects in the container's network."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net") as namespace:
        check("the container's network can be entered", libc.setns(namespace.fileno(), CLONE_NEWNET) == 0)
