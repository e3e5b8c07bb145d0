"""Kills everything that can be killed, in seeded random order, and counts what is in the table afterwards.

Two journalling publishers (docs/publisher.py, as programs of their own), the service and its PostgreSQL are killed with -9,
backends are stopped and continued, connections are cut, and the disk of the spool is filled, while a list of what was published is kept outside of them. At the
end everything that was published must be in the table, once.

    .venv/bin/python Tests/System/chaos.py --minutes 10 --seed 1
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from conftest import DATA, ROOT, Service, free_port, run, wait_for  # noqa: E402

PUBLISHER = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
from publisher import Publisher
name, telemetry, control, folder, device = sys.argv[2:7]
publisher = Publisher(name, telemetry, control, f"{folder}/{name}.journal")
# What is published, known outside: a line is written once the message is in the journal.
witness = open(f"{folder}/{name}.witness", "a")
# A predecessor that died between the two left its last message out.
witness.write(f"{publisher.last}\\n")
start = 1_700_000_000_000_000
while not __import__("os").path.exists(f"{folder}/stop"):
    n = publisher.last
    publisher.publish([{"device": device, "time": start + (n * 20 + k) * 10_000, "active_power_w": n * 20 + k} for k in range(20)])
    witness.write(f"{publisher.last}\\n")
    witness.flush()
    publisher.serve(5)
while publisher.durable < publisher.last:
    publisher.serve(50)
"""


class Wire(threading.Thread):
    """A TCP relay whose connections can be cut."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target, self.pairs = target, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 2)
            except OSError:
                near.close()
                continue
            self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for end in (a, b):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        for pair in self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs.clear()


def chaos(seconds, seed, report=print):
    """Returns the counts; raises when something is lost, doubled or left open."""
    draw = random.Random(seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bf-", dir="/tmp"))
    os.chmod(folder, 0o755)
    run("network", "import", DATA, "--data-dir", folder / "state")
    # A small disk of its own for the spool, which can be filled: only root may make one.
    disk = folder / "spool"
    disk.mkdir()
    is_mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True).returncode == 0
    ports = free_port(), free_port()
    service = Service(folder, settings=(
        f"telemetry.bind=tcp://127.0.0.1:{ports[0]}", f"control.bind=tcp://127.0.0.1:{ports[1]}", "ingest.database_deadline_ms=1500",
        "spool.segment_bytes=65536", "spool.max_bytes=1000000", f"spool.directory={disk}"))
    wires = [Wire(port) for port in ports]
    names = {"AGG-A": "FH-F01", "AGG-B": "FH-F02"}

    def publisher(name):
        ends = [f"tcp://127.0.0.1:{wire.port}" for wire in wires]
        return subprocess.Popen([sys.executable, "-c", PUBLISHER, str(ROOT / "docs"), name, *ends, str(folder), names[name]])

    publishers = {name: publisher(name) for name in names}
    counts = {"publisher": 0, "service": 0, "postgres": 0, "backend": 0, "connections": 0, "disk": 0}

    def postmaster():
        try:
            return int((folder / "state/postgres/data/postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def kill_publisher():
        name = draw.choice(list(names))
        publishers[name].kill()
        publishers[name].wait()
        time.sleep(draw.random())
        publishers[name] = publisher(name)

    def kill_service():
        service.process.kill()
        service.process.wait()
        time.sleep(draw.random())
        service.start()

    def kill_postgres():
        if (pid := postmaster()) is None:
            return
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def freeze_backends():
        pid = postmaster()
        listing = subprocess.run(["pgrep", "-P", str(pid), "-f", "postgres: backfeed"], capture_output=True, text=True).stdout.split()
        for number, until in ((signal.SIGSTOP, draw.uniform(0.5, 3)), (signal.SIGCONT, 0)):
            for victim in listing:
                try:
                    os.kill(int(victim), number)
                except ProcessLookupError:
                    pass
            time.sleep(until)

    def cut_connections():
        for wire in wires:
            wire.cut()

    def fill_disk():
        filler = disk / "filler"
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        kill_postgres()
        time.sleep(draw.uniform(0.5, 2.5))
        filler.unlink()

    deeds = [("publisher", kill_publisher), ("service", kill_service), ("postgres", kill_postgres), ("backend", freeze_backends),
             ("connections", cut_connections)] + ([("disk", fill_disk)] if is_mounted else [])
    try:
        ends = time.monotonic() + seconds
        turn = 0
        while time.monotonic() < ends:
            time.sleep(draw.uniform(0.3, 2.5))
            # Each once, then by lot.
            what, deed = deeds[turn] if turn < len(deeds) else draw.choice(deeds)
            turn += 1
            deed()
            counts[what] += 1
        (folder / "stop").touch()
        for name, process in publishers.items():
            try:
                process.wait(180)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{name}: not everything became durable within 180 s") from None
            assert process.returncode == 0, f"{name} ended with {process.returncode}"
        published = 0
        for name in names:
            lines = (folder / f"{name}.witness").read_text().split()
            published += int(lines[-1]) * 20
        rows = int(service.sql("SELECT count(*) FROM backfeed_store.sample"))
        different = int(service.sql("SELECT count(*) FROM (SELECT DISTINCT device_id, time, active_power_w FROM backfeed_store.sample) AS d"))
        gaps = int(service.sql("SELECT count(*) FROM backfeed.data_gap"))
        full = (folder / "service.log").read_text().count("the spool is full")
        result = {"seed": seed, "kills": sum(counts.values()), **counts, "spool_full": full, "published": published, "rows": rows,
                  "lost": published - different, "doubled": rows - different, "gaps": gaps}
        report(json.dumps(result))
        assert result["lost"] == 0 and result["doubled"] == 0 and gaps == 0, result
        return result
    except BaseException:
        keep = ROOT / "test-output"
        keep.mkdir(exist_ok=True)
        shutil.copy(folder / "service.log", keep / f"chaos-{seed}.log")
        raise
    finally:
        for process in publishers.values():
            process.kill()
        service.stop()
        if is_mounted:
            subprocess.run(["umount", str(disk)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chaos(options.minutes * 60, options.seed)
