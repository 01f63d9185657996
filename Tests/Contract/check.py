"""Checks the HTTP contract of a running service from outside: by schemathesis, and by a client generated from the document.

Starts a debug build with sample data on a free port of 127.0.0.1 and ends it again, also after a failure. Exits with 1 on any finding.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
TOOLS = pathlib.Path(sys.executable).parent


class Service:
    """A service with sample data, on a data folder of its own or on an empty database."""

    def __init__(self, binary, folder, store=None):
        self.binary, self.data = binary, str(folder / "data")
        self.store = ["--store", store] if store else []
        self.log = folder / "serve.log"
        made = self.run("demo", "--data", self.data, *self.store)
        if not made.startswith("made"):
            sys.exit(made.splitlines()[0])

    def run(self, *arguments):
        return subprocess.run([self.binary, *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout

    def token(self, *who):
        return self.run("token", *(self.store or ["--data", self.data]), *who).strip()

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--data", self.data, *self.store, "--port", "0"], stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            sys.exit(f"the service did not start:\n{self.log.read_text()}")
        self.url = line.split("http://")[1].split()[0].rstrip("/")
        self.url = f"http://{self.url}"
        self.await_readiness()
        return self

    def await_readiness(self):
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(self.url + "/readyz") as answer:
                    return answer.read()
            except urllib.error.HTTPError as problem:
                if time.monotonic() > deadline:
                    sys.exit(f"the service is not ready: {problem.read().decode()}")
            time.sleep(0.05)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            status = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        if status != 0:
            sys.exit(f"the service ended with {status}:\n{self.log.read_text()[-4000:]}")

    def get(self, path):
        with urllib.request.urlopen(self.url + path) as answer:
            return answer.read()


def schemathesis(name, service, document, options, arguments, configuration, environment):
    """One run of schemathesis; whether it found nothing."""
    # A run has one file of settings: those of all runs, which must come before any table, and its own.
    settings = options.folder / "schemathesis.toml"
    settings.write_text("".join((HERE / part).read_text() for part in ["all.toml", *configuration]))
    command = [
        TOOLS / "schemathesis", "--no-color", "--config-file", settings,
        "run", document, "--url", service.url, "--checks", "all", "--mode", "all",
        "--phases", "examples,coverage,fuzzing,stateful", "--seed", str(options.seed), "--max-examples", str(options.examples),
        # Every finding of a run is reported, and none is kept for the next run.
        "--continue-on-failure", "--generation-database", "none",
        # The store grows during a run, and the machine may be slow: how long an answer takes is no part of the contract.
        "--request-timeout", "60", "--suppress-health-check", "all", "--warnings", "off", *arguments,
    ]
    print(f"\n=== schemathesis {name}, seed {options.seed}, {options.examples} examples for each operation", flush=True)
    started = time.monotonic()
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"), **environment}
    status = subprocess.run([str(part) for part in command], cwd=options.folder, env=environment).returncode
    print(f"=== schemathesis {name}: {'no finding' if status == 0 else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True)
    return status == 0


def fill_balance(service, user, admin):
    """Charges a balance until it is full, so that orders can be paid."""
    for _ in range(10):
        request = urllib.request.Request(
            f"{service.url}/api/v1/users/{user}/balance/charges", b'{"amount": 1000000}',
            {"Authorization": f"Bearer {admin}", "Content-Type": "application/json"})
        try:
            urllib.request.urlopen(request).close()
        except urllib.error.HTTPError as problem:
            if json.load(problem)["code"] != "BALANCE_LIMIT_EXCEEDED":
                raise
            return


def check_with_schemathesis(service, document, options):
    """Runs as an admin, as a user, without a token, and with each request sent by somebody who may send it."""
    admin, first, second = service.token("--admin"), service.token("--user", "1"), service.token("--user", "2")
    fill_balance(service, 1, admin)
    identities = options.folder / "identities.json"
    identities.write_text(json.dumps({"auth": [
        {"name": name, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
        for name, token in [("user 1", first), ("user 2", second)]
    ]}))
    runs = [
        ("as an admin", ["--header", f"Authorization: Bearer {admin}"], [], {}),
        ("as users", [], ["users.toml"], {"FIRSTCOME_IDENTITIES": str(identities)}),
        ("without a token", [], [], {}),
        ("as whoever may", [], ["links.toml"], {"FIRSTCOME_ADMIN": admin, "FIRSTCOME_USER": first}),
    ]
    selected = [run for run in runs if options.only in run[0]]
    return [schemathesis(name, service, document, options, *rest) for name, *rest in selected]


def check_with_client(service, document, options):
    """Generates a client from the document, and runs the tour with it."""
    print("\n=== a generated client", flush=True)
    client = options.folder / "client"
    generated = subprocess.run(
        [TOOLS / "openapi-python-client", "generate", "--path", document, "--meta", "none", "--output-path", client,
         "--config", HERE / "client.yml", "--fail-on-warning"],
        env={**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if generated.returncode != 0:
        print(generated.stdout)
    tour = subprocess.run(
        [sys.executable, HERE / "tour.py"],
        env={**os.environ, "PYTHONPATH": str(options.folder), "FIRSTCOME_URL": service.url,
             "FIRSTCOME_ADMIN": service.token("--admin"), "FIRSTCOME_USER": service.token("--user", "1")})
    passed = generated.returncode == 0 and tour.returncode == 0
    print(f"=== a generated client: {'the tour works' if passed else 'FAILED'}", flush=True)
    return passed


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True, help="the firstcome executable")
    parser.add_argument("--seed", type=int, default=1, help="the seed of what is generated")
    parser.add_argument("--examples", type=int, default=25, help="how many requests are generated for each operation and phase")
    parser.add_argument("--only", default="", help="only the runs with this in their name, such as `user`")
    parser.add_argument("--store", help="the URL of an empty PostgreSQL database for the store, instead of a file")
    return parser.parse_args()


def main():
    options = parse_options()
    # A terminated check ends its service too, because `finally` clauses run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    options.folder = pathlib.Path(tempfile.mkdtemp(prefix="firstcome-contract-"))
    try:
        with Service(options.binary, options.folder, options.store) as service:
            document = options.folder / "openapi.json"
            document.write_bytes(service.get("/openapi.json"))
            # First, because it expects the sample data as they were made.
            passed = [check_with_client(service, document, options)] if options.only in "a generated client" else []
            passed += check_with_schemathesis(service, document, options)
    finally:
        shutil.rmtree(options.folder, ignore_errors=True)
    print(f"\n{sum(passed)} of {len(passed)} checks of the contract passed")
    sys.exit(0 if passed and all(passed) else 1)


main()
