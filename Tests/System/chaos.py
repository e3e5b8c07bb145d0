"""Kills everything that can be killed, in seeded random order, while a control room is at work, and compares what is left with an independent model.

Three journalling publishers (docs/publisher.py, as programs of their own), the service and its PostgreSQL are killed with -9, backends are stopped and
continued, connections are cut, the disk of the spool is filled, and networks are imported. Meanwhile two publishers send samples, the third tells switch positions
(good, bad, late, early, repeated, refused, lost), and people state positions, keep the safety register, and write, approve and execute plans
(chaos_room.py). A list of what was published and asked is kept outside of them. At the end everything that was published must be in the table, once; and
positions, register, plans and audit log must be what the documentation makes of that list, with no approval, issue or verdict that it forbids (chaos_model.py).

    .venv/bin/python Tests/System/chaos.py --minutes 10 --seed 1
"""
import argparse
import contextlib
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
from chaos_room import SCADA, Interrupted, Room, network  # noqa: E402
from conftest import ROOT, Service, free_port, run, wait_for  # noqa: E402

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
    samples = [{"device": device, "time": start + (n * 20 + k) * 10_000, "active_power_w": n * 20 + k} for k in range(20)]
    # A switch that is SCADA's: refused, and it moves nothing.
    if n % 50 == 49 and __import__("os").path.exists(f"{folder}/foreign"):
        samples.append({"device": "SP-A", "time": int(time.time() * 1e6), "switch_position": "open"})
    publisher.publish(samples)
    witness.write(f"{publisher.last}\\n")
    witness.flush()
    publisher.serve(10)
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


class Storm:
    """Everything that can be killed, and how."""

    def __init__(self, folder, draw):
        self.folder, self.draw = folder, draw
        # A small disk of its own for the spool, which can be filled: only root may make one.
        self.disk = folder / "spool"
        self.disk.mkdir()
        self.is_mounted = os.geteuid() == 0 and subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(self.disk)], capture_output=True).returncode == 0
        ports = free_port(), free_port()
        self.service = Service(folder, settings=(
            f"http.listen=127.0.0.1:{free_port()}", f"telemetry.bind=tcp://127.0.0.1:{ports[0]}", f"control.bind=tcp://127.0.0.1:{ports[1]}",
            "ingest.database_deadline_ms=1500", "spool.segment_bytes=65536", "spool.max_bytes=1000000", f"spool.directory={self.disk}",
            "validator.light_load_pct=100", "ramp.scale=100"))
        self.wires = [Wire(port) for port in ports]
        self.room = Room(self.service, folder, draw.randrange(1 << 30))
        # Meters that no verdict looks at.
        self.devices = {"AGG-A": "VM-HV-A", "AGG-B": "VM-HV-B", "SCADA": None}
        # What is refused they say there.
        self.logs = {name: open(folder / f"{name}.log", "a") for name in self.devices}
        self.publishers = {name: self.publisher(name) for name in self.devices}
        self.deeds = {"publisher": self.kill_publisher, "service": self.kill_service, "postgres": self.kill_postgres, "backend": self.freeze_backends,
                      "connections": self.cut_connections, "network": self.import_network} | ({"disk": self.fill_disk} if self.is_mounted else {})
        self.counts = dict.fromkeys(["publisher", "service", "postgres", "backend", "connections", "network", "disk", "absence"], 0)

    def publisher(self, name):
        ends = [f"tcp://127.0.0.1:{wire.port}" for wire in self.wires]
        text, more = (SCADA, []) if name == "SCADA" else (PUBLISHER, [self.devices[name]])
        names = [] if name == "SCADA" else [name]
        return subprocess.Popen([sys.executable, "-c", text, str(ROOT / "docs"), *names, *ends, str(self.folder), *more],
                                stderr=self.logs[name])

    def postmaster(self):
        try:
            return int((self.folder / "state/postgres/data/postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None

    def kill_publisher(self):
        name = self.draw.choice(list(self.publishers))
        self.publishers[name].kill()
        self.publishers[name].wait()
        time.sleep(self.draw.random())
        self.publishers[name] = self.publisher(name)

    def kill_service(self, away=None):
        self.service.process.kill()
        self.service.process.wait()
        gone = time.time()
        time.sleep(self.draw.random() if away is None else away)
        back = time.time()
        # Nobody watches approvals from the one moment to the other, at least.
        self.room.down.append((gone, back))
        self.service.start()

    def be_absent(self):
        """Longer than approvals may be unwatched."""
        self.kill_service(away=self.draw.uniform(6.5, 9))

    def kill_postgres(self):
        if (pid := self.postmaster()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def freeze_backends(self):
        listing = subprocess.run(["pgrep", "-P", str(self.postmaster()), "-f", "postgres: backfeed"], capture_output=True, text=True).stdout.split()
        for number, until in ((signal.SIGSTOP, self.draw.uniform(0.5, 3)), (signal.SIGCONT, 0)):
            for victim in listing:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(victim), number)
            time.sleep(until)

    def cut_connections(self):
        for wire in self.wires:
            wire.cut()

    def fill_disk(self):
        filler = self.disk / "filler"
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        self.kill_postgres()
        time.sleep(self.draw.uniform(0.5, 2.5))
        filler.unlink()

    def import_network(self):
        """While the next things are killed."""
        if self.room.importer:
            self.room.importer.join()
        self.room.importer = threading.Thread(target=self.room.imported, args=(self.draw.choice(["changed", "changed", "same", "wrong"]),))
        self.room.importer.start()

    def rage(self, seconds, is_long):
        """Each once, then by lot, with quiet times in between in which a plan can be carried out."""
        ends, turn = time.monotonic() + seconds, 0
        deeds = list(self.deeds.items())
        while time.monotonic() < ends and not self.room.ended.is_set():
            is_quiet = turn > len(deeds) and self.draw.random() < 0.25
            time.sleep(min(self.draw.uniform(4, 20) if is_quiet else self.draw.uniform(0.3, 2.5), max(0, ends - time.monotonic())))
            what, deed = deeds[turn] if turn < len(deeds) else self.draw.choice(deeds + ([("absence", self.be_absent)] if is_long else []))
            turn += 1
            with self.room.calm:
                deed()
            self.counts[what] += 1
        if self.room.importer:
            self.room.importer.join()

    def settle(self):
        """Stops the publishers, once everything that they have is durable."""
        (self.folder / "stop").touch()
        for name, process in self.publishers.items():
            try:
                process.wait(180)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{name}: not everything became durable within 180 s") from None
            assert process.returncode == 0, f"{name} ended with {process.returncode}"

    def end(self):
        for process in self.publishers.values():
            process.kill()
        self.service.stop()
        for log in self.logs.values():
            log.close()
        if self.is_mounted:
            subprocess.run(["umount", str(self.disk)], check=False)


def at_work(room, until, is_long):
    """Scenes in random order, until a moment; at times everything is compared."""
    compared = time.monotonic()
    while time.monotonic() < until:
        if room.draw.random() < 0.3:
            room.wild.set()
        room.play(room.draw.choice(list(room.scenes)))
        room.wild.clear()
        if is_long and time.monotonic() - compared > 120:
            room.compare()
            compared = time.monotonic()


def in_calm(room, is_long):
    """What the storm has left no time for: each scene to its end, and each thing that approvals do not survive, before one or after it."""
    def until_done(name, *arguments):
        reasons = []
        for _ in range(5):
            try:
                room.tidy()
                room.ready()
                room.scenes[name](*arguments)
                room.seen[name] += 1
                return
            except Interrupted as why:
                reasons.append(str(why)[:500])
        raise AssertionError(f"scene {name} {arguments} was never played to its end: {reasons}")
    for name in room.scenes:
        if not room.seen[name] and not name.startswith("changed"):
            until_done(name)
    for turn, what in enumerate(room.ENDS):
        before, after = room.seen[f"refused: {what}"], room.seen[f"voided: {what}"]
        if not before and (is_long or (not after and turn % 2)):
            until_done("changed_before_approval", what)
        if not after and (is_long or (not before and not turn % 2)):
            until_done("changed_after_approval", what)
    for kind in ("unconfirmed", "contradicted"):
        if not room.seen[kind]:
            until_done("doubt", kind)


def chaos(seconds, seed, report=print):
    """Returns the counts; raises when something is lost, doubled, left open, forbidden, or not as the model has it."""
    draw = random.Random(seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bf-", dir="/tmp"))
    os.chmod(folder, 0o755)
    is_long = seconds > 120
    run("network", "import", network(folder / "grid"), "--data-dir", folder / "state")
    storm = Storm(folder, draw)
    room = storm.room
    colleague = threading.Thread(target=room.colleague, daemon=True)
    failures = []

    def work(until):
        try:
            at_work(room, until, is_long)
        except BaseException as error:
            failures.append(error)
            room.ended.set()
    try:
        wait_for(lambda: room.witnessed()[0], what="SCADA's first message")
        # Before anybody has declared the register complete nothing is approved.
        for switch, position in (("SP-A", "closed"), ("SP-B", "closed")):
            room.heard(room.tell(switch, position), 60)
        (folder / "foreign").touch()
        plan = room.keep(room.outage(room.name(), "SP-A"))
        room.need(room.approve(plan, room.validate(plan)["verdict_id"]), 409)
        room.need(room.declare())
        colleague.start()
        worker = threading.Thread(target=work, args=(time.monotonic() + seconds,))
        worker.start()
        storm.rage(seconds, is_long)
        worker.join()
        if failures:
            raise failures[0]
        room.ended.set()
        colleague.join()
        in_calm(room, is_long)
        # An approval that nothing has ended stands while it is looked at; then a position that is contradicted.
        room.tidy()
        room.ready()
        room.approved(room.outage(room.name(), "SP-A"))
        room.compare()
        room.scene_doubt("contradicted")
        ledger = room.compare()
        ledger.judge_verdicts()
        storm.settle()
        return result(storm, ledger, seed, report)
    except BaseException as error:
        if isinstance(error, (AssertionError, RuntimeError)) and storm.service.process.poll() is None:
            explain(room, report)
        keep = ROOT / "test-output" / f"chaos-{seed}"
        shutil.rmtree(keep, ignore_errors=True)
        keep.mkdir(parents=True)
        for file in ("service.log", "interrupted", "orders", "SCADA.witness", "SCADA.journal"):
            with contextlib.suppress(OSError):
                shutil.copy(folder / file, keep)
        raise
    finally:
        room.ended.set()
        storm.end()
        shutil.rmtree(folder, ignore_errors=True)


def explain(room, report):
    """What the model says to a run that failed, as far as anybody can be asked any more."""
    try:
        ledger = room.ledger()
        ledger.judge_verdicts()
        report(json.dumps({"forbidden": ledger.forbidden[:5], "problems": ledger.problems[:5]}))
        room.agree(ledger)
    except Exception as error:
        report(f"{error}")


def result(storm, ledger, seed, report):
    folder, room, service = storm.folder, storm.room, storm.service
    published = 0
    for name in ("AGG-A", "AGG-B"):
        published += int((folder / f"{name}.witness").read_text().split()[-1]) * 20
    bulk = "device_id IN (SELECT id FROM backfeed_store.device WHERE name IN ('VM-HV-A', 'VM-HV-B'))"
    rows = int(service.sql(f"SELECT count(*) FROM backfeed_store.sample WHERE {bulk}"))
    different = int(service.sql(f"SELECT count(*) FROM (SELECT DISTINCT device_id, time, active_power_w FROM backfeed_store.sample WHERE {bulk}) AS d"))
    told = int(service.sql(f"SELECT count(*) FROM backfeed_store.sample WHERE NOT {bulk}"))
    gaps = int(service.sql("SELECT count(*) FROM backfeed.data_gap"))
    refused = int(service.sql("SELECT count(*) FROM backfeed_store.rejected_sample WHERE reason IN ('time_in_future')"))
    expected = room.told_samples()
    asked = [act for act in ledger.acts.values() if act.kind == "approve"]
    counts = {
        "seed": seed, "kills": sum(storm.counts.values()), **storm.counts, "spool_full": (folder / "service.log").read_text().count("the spool is full"),
        "published": published, "rows": rows, "lost": published - different, "doubled": rows - different, "gaps": gaps,
        "told": expected[0], "told_lost": expected[0] - expected[1] - told, "told_refused": refused - expected[1],
        "positions": dict(room.told), "acts": len(ledger.acts), "answers_lost": ledger.count["lost"],
        "approvals": {"asked": len(asked), "refused": sum(a[0] == 409 for act in asked for a in act.answers), **{k: ledger.count[k] for k in ("given", "voided")}},
        "steps": {k: ledger.count[k] for k in ("issued", "executed", "found_otherwise", "completed", "cancelled")},
        "verdicts": {k: ledger.count[f"{k}"] for k in ("verdicts_on_known_positions", "doubtful_verdicts", "blocked_verdicts")},
        "scenes": dict(sorted(room.seen.items())), "records": len(ledger.records), "revisions": ledger.revision, "forbidden": len(ledger.forbidden)}
    report(json.dumps(counts))
    assert not ledger.forbidden, ledger.forbidden[:5]
    assert counts["lost"] == counts["doubled"] == gaps == counts["told_lost"] == 0, counts
    log = run("verify-log", "--data-dir", folder / "state").stdout
    assert f"intact: {len(ledger.records)} records" in log, log
    # The model has forbidden something, and something was given: else the run would say nothing.
    assert all(counts["approvals"].values()) and all(counts["steps"].values()) and all(counts["verdicts"].values()), counts
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chaos(options.minutes * 60, options.seed)
