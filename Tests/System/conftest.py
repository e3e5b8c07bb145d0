"""The service as its users meet it: the built program, real PostgreSQL, real ZeroMQ, a real browser."""
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest
import zmq

ROOT = pathlib.Path(__file__).resolve().parents[2]
BACKFEED = ROOT / ".build/release/backfeed"
DATA = ROOT / "data/semiurb"
OUTPUT = ROOT / "test-output"


def run(*arguments, expect=0, **kwargs):
    done = subprocess.run([str(BACKFEED), *map(str, arguments)], capture_output=True, text=True, timeout=600, **kwargs)
    assert expect is None or done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def wait_for(condition, seconds=60, every=0.1, what="condition"):
    """Polls until `condition()` is truthy; its value."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(every)
    raise AssertionError(f"{what} did not come true within {seconds} s")


def free_port():
    """A port that nobody has now. Below those that the kernel gives to connections: a service that is killed finds it free again."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Service:
    """One running `backfeed`, on ports of its own."""

    def __init__(self, folder, command="run", *options, settings=()):
        self.folder = pathlib.Path(folder)
        self.command = [str(BACKFEED), command, "--data-dir", str(self.folder / "state"), *options]
        for setting in ("telemetry.bind=tcp://127.0.0.1:*", "control.bind=tcp://127.0.0.1:*", "advisories.bind=tcp://127.0.0.1:*", "validator.bind=tcp://127.0.0.1:*", "http.listen=127.0.0.1:0", "ingest.oldest=2000-01-01T00:00:00Z", *settings):
            self.command += ["--set", setting]
        self.process = None
        self.start()

    def start(self):
        self.log = open(self.folder / "service.log", "a")
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=self.folder)
        line = self.process.stdout.readline()
        assert line.startswith("ready "), f"not ready: {line!r}\n{(self.folder / 'service.log').read_text()[-3000:]}"
        parts = dict(part.split("=", 1) for part in line.split()[1:])
        self.http, self.telemetry, self.control, self.advisories, self.validator = (parts[name] for name in ("http", "telemetry", "control", "advisories", "validator"))

    def stop(self, number=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)
        return self.process.returncode

    def get(self, path):
        with urllib.request.urlopen(self.http + path, timeout=30) as answer:
            body = answer.read().decode()
            return json.loads(body) if "json" in answer.headers["Content-Type"] else body

    def send(self, method, path, body):
        request = urllib.request.Request(self.http + path, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def metric(self, name, **labels):
        total = 0.0
        for line in self.get("/metrics").splitlines():
            if line.startswith(name) and line[len(name)] in " {" and all(f'{k}="{v}"' in line for k, v in labels.items()):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def sql(self, statement, user="backfeed"):
        """One value or rows, from the private cluster, as its owner."""
        done = subprocess.run(
            ["psql", "-h", str(self.folder / "state/postgres"), "-U", user, "-d", "postgres", "-AtX", "-v", "ON_ERROR_STOP=1", "-c", statement],
            capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextlib.contextmanager
def recorded_day(start, speed="240"):
    """The demo, from an hour of its day on, faster than the day was."""
    path = tempfile.mkdtemp(prefix="bf-", dir="/tmp")
    os.chmod(path, 0o755)
    service = Service(path, "demo", "--speed", speed, "--from", start)
    try:
        yield service
    finally:
        service.stop()
        shutil.rmtree(path, ignore_errors=True)


class Publisher:
    """An aggregator in a few lines: what the README shows."""

    def __init__(self, service, aggregator, encoding="json", epoch=None):
        # Never terminated: a test that fails must not hang on messages that nobody takes.
        self.socket = zmq.Context.instance().socket(zmq.XPUB)
        self.socket.setsockopt(zmq.SNDHWM, 100_000)
        self.socket.connect(service.telemetry)
        assert self.socket.poll(10_000), "the service did not subscribe"
        self.socket.recv()
        self.topic = f"telemetry/1/{aggregator}/{encoding}".encode()
        self.epoch = epoch or int(time.time() * 1e6)
        self.sequence = 0

    def raw(self, *frames):
        self.socket.send_multipart(list(frames))

    def send(self, payload, sequence=None):
        self.sequence = sequence or self.sequence + 1
        if not isinstance(payload, bytes):
            payload = json.dumps(payload).encode()
        self.raw(self.topic, struct.pack(">QQ", self.epoch, self.sequence), payload)

    def samples(self, *samples):
        self.send({"samples": list(samples)})

    def close(self):
        self.socket.close(linger=5000)


@pytest.fixture
def folder(request):
    # Short: the path of PostgreSQL's socket may hold 107 bytes; open to the user that PostgreSQL runs as.
    path = tempfile.mkdtemp(prefix="bf-", dir="/tmp")
    os.chmod(path, 0o755)
    yield pathlib.Path(path)
    if hasattr(request.node, "failed_call") and request.node.failed_call:
        OUTPUT.mkdir(exist_ok=True)
        log = pathlib.Path(path) / "service.log"
        if log.exists():
            shutil.copy(log, OUTPUT / f"{request.node.name[:60]}.log")
    shutil.rmtree(path, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.failed_call = outcome.get_result().failed


@pytest.fixture
def service(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    service = Service(folder)
    yield service
    service.stop()


def self_signed(folder):
    """`server.crt` and `server.key` of localhost, for two days."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", folder / "server.key", "-out", folder / "server.crt"], check=True, capture_output=True, timeout=60)


def rfc3339(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
