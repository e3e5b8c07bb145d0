"""Nothing lost from publisher to table: control channel, outages, keys. Everything here is killed for real."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest
import zmq
from conftest import BACKFEED, DATA, ROOT, Publisher, Service, free_port, rfc3339, run, wait_for

sys.path.insert(0, str(ROOT / "docs"))
from publisher import Publisher as Journalled  # noqa: E402  the one that the documentation shows


def stored(service):
    return int(service.sql("SELECT count(*) FROM backfeed_store.sample"))


def doubled(service):
    return service.sql("SELECT count(*) FROM (SELECT device_id, time FROM backfeed_store.sample GROUP BY 1, 2 HAVING count(*) > 1) AS d")


def sample(n, start, device="FH-F01"):
    return {"device": device, "time": int((start + n * 0.01) * 1e6), "active_power_w": n}


def serve_until(publisher, condition, seconds=60, what="durable"):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what} did not come true: durable {publisher.durable} of {publisher.last}"
        publisher.serve(50)


def fixed_ports(folder, *settings):
    run("network", "import", DATA, "--data-dir", folder / "state")
    return Service(folder, settings=(f"telemetry.bind=tcp://127.0.0.1:{free_port()}", f"control.bind=tcp://127.0.0.1:{free_port()}", *settings))


def test_what_the_live_stream_loses_comes_by_replay_and_is_called_durable(service, folder):
    publisher = Journalled("AGG-A", service.telemetry, service.control, folder / "a.journal")
    start = time.time() - 3600
    # Nobody is connected yet: all of this is dropped by PUB, and is only in the journal.
    for n in range(1500):
        publisher.publish([sample(n, start)])
    serve_until(publisher, lambda: publisher.durable == 1500)
    assert stored(service) == 1500 and doubled(service) == "0"
    assert service.sql("SELECT count(*) FROM backfeed.data_gap") == "0"
    # What is durable is kept for a while: after a restore the service may ask for it again.
    assert publisher.journal.execute("SELECT count(*), count(durable_at) FROM message").fetchone() == (1500, 1500)
    # Replayed by itself again, without being asked: nothing is doubled.
    publisher.control.send_multipart([b'{"type":"data"}', *publisher.frames(7, json.dumps({"samples": [sample(6, start)]}).encode())])
    wait_for(lambda: service.metric("backfeed_messages_duplicate_total", aggregator="AGG-A") == 1, what="a duplicate")
    # What is wrong is told at once.
    publisher.publish([{"device": "nobody", "time": int(start * 1e6), "active_power_w": 1}])
    serve_until(publisher, lambda: publisher.rejected, what="a rejection")
    assert publisher.rejected[0]["sequence"] == 1501 and publisher.rejected[0]["reasons"][0]["code"] == "unknown_device"
    # And not for ever.
    publisher.keep_after_durable_s = 0
    publisher.publish([sample(1501, start)])
    serve_until(publisher, lambda: publisher.journal.execute("SELECT count(*) FROM message").fetchone()[0] == 0, what="an empty journal")


def test_what_the_journal_no_longer_keeps_is_recorded_with_its_time_range(service, folder):
    start = int(time.time()) - 3600
    # The service is away for 300 messages, of which the journal keeps the last hundred.
    alone = Journalled("AGG-A", "tcp://127.0.0.1:1", "tcp://127.0.0.1:1", folder / "a.journal", keep=100)
    for n in range(300):
        alone.publish([sample(n, start)])
    alone.live.close()
    alone.control.close()
    publisher = Journalled("AGG-A", service.telemetry, service.control, folder / "a.journal", keep=100)
    serve_until(publisher, lambda: publisher.durable == 300)
    assert service.sql("SELECT state, reason, first_sequence, last_sequence, messages FROM backfeed.data_gap") == "lost|gone|1|200|200"
    assert stored(service) == 100
    # What was lost lies before the first sample that is kept; since when is not known to anybody.
    assert service.sql("SELECT after_time IS NULL, extract(epoch FROM before_time)::int FROM backfeed.data_gap") == f"t|{start + 2}"


def test_a_publisher_without_a_journal_that_is_killed_leaves_a_gap_with_the_right_range(service, folder):
    start = int(time.time()) - 600
    first = Publisher(service, "AGG-A")
    for n in range(10):
        first.samples({"device": "FH-F01", "time": rfc3339(start + n), "active_power_w": n})
    wait_for(lambda: stored(service) == 10, what="the first ten")
    # Ten more are taken from the devices, and die with the publisher: nobody can know how many.
    first.close()
    second = Publisher(service, "AGG-A")
    second.samples({"device": "FH-F01", "time": rfc3339(start + 20), "active_power_w": 20})
    wait_for(lambda: stored(service) == 11, what="the new one")
    assert service.sql(
        "SELECT state, reason, first_sequence, last_sequence IS NULL, extract(epoch FROM after_time)::int, extract(epoch FROM before_time)::int "
        "FROM backfeed.data_gap") == f"lost|epoch_replaced|11|t|{start + 9}|{start + 20}"
    assert "messages" in run("doctor", "--data-dir", folder / "state", expect=None).stdout


def test_an_older_epoch_is_refused_and_two_aggregators_may_share_one(service, folder):
    now = time.time()
    a, b = Publisher(service, "AGG-A", epoch=1_000_000), Publisher(service, "AGG-B", epoch=1_000_000)
    a.samples({"device": "FH-F01", "time": rfc3339(now), "active_power_w": 1})
    b.samples({"device": "FH-F02", "time": rfc3339(now), "active_power_w": 1})
    wait_for(lambda: stored(service) == 2, what="both")
    old = Publisher(service, "AGG-A", epoch=999_999)
    old.samples({"device": "FH-F01", "time": rfc3339(now + 1), "active_power_w": 1})
    wait_for(lambda: service.metric("backfeed_rejects_total", reason="old_epoch") == 1, what="refusal")
    link = zmq.Context.instance().socket(zmq.DEALER)
    link.connect(service.control)
    link.send(json.dumps({"type": "hello", "aggregator": "AGG-A", "epoch": 999_999, "first_kept": 1, "last": 5}).encode())
    assert link.poll(5000)
    answer = json.loads(link.recv())
    assert answer["type"] == "rejected" and answer["reasons"][0]["code"] == "old_epoch"
    link.send(b"nonsense")
    assert link.poll(5000) and json.loads(link.recv())["reasons"][0]["code"] == "bad_control"
    assert stored(service) == 2


def test_the_replay_command_drops_messages_and_still_everything_arrives_also_after_a_kill(folder):
    service = fixed_ports(folder)
    try:
        command = [
            str(BACKFEED), "replay", str(DATA), "--window", "day", "--to", service.telemetry, "--control", service.control,
            "--journal", str(folder / "journals"), "--feeders", "F02,F04", "--from", "2016-07-21T05:00:00Z",
            "--until", "2016-07-21T05:30:00Z", "--drop", "0.1"]
        victim = subprocess.Popen([*command, "--speed", "120"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: stored(service) > 1000, what="samples")
        victim.kill()
        victim.wait()
        done = subprocess.run([*command, "--speed", "max"], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0 and "all durable" in done.stdout, done.stdout + done.stderr
        assert int(done.stdout.split("; ")[1].split()[0]) > 0
        once = folder / "once"
        once.mkdir(mode=0o755)
        run("network", "import", DATA, "--data-dir", once / "state")
        undisturbed = Service(once)
        try:
            sent = subprocess.run(
                [*command[:6], undisturbed.telemetry, "--feeders", "F02,F04", "--from", "2016-07-21T05:00:00Z", "--until",
                 "2016-07-21T05:30:00Z", "--speed", "max"], capture_output=True, text=True, timeout=300).stdout
            wait_for(lambda: stored(undisturbed) == int(sent.split()[1]), what="the undisturbed run")
            digest = "SELECT count(*), md5(string_agg(d.name || s.time || coalesce(s.active_power_w, 0), ',' ORDER BY d.name, s.time)) " \
                "FROM backfeed_store.sample s JOIN backfeed_store.device d ON d.id = s.device_id"
            assert service.sql(digest) == undisturbed.sql(digest)
        finally:
            undisturbed.stop()
    finally:
        service.stop()


def postmaster(service):
    return int((service.folder / "state/postgres/data/postmaster.pid").read_text().split()[0])


def backends(service):
    parent = postmaster(service)
    listing = subprocess.run(["pgrep", "-P", str(parent), "-f", "postgres: backfeed"], capture_output=True, text=True).stdout
    return [int(p) for p in listing.split()]


def freeze(pids):
    """Stops those that are still there: what psql has just left may be on its way out."""
    return [pid for pid in pids if signalled(pid, signal.SIGSTOP)]


def thaw(frozen):
    """Lets them go on. One that was on its way out when it was stopped is gone by then."""
    for pid in frozen:
        signalled(pid, signal.SIGCONT)


def signalled(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def test_a_backend_that_stands_still_and_commits_late_makes_no_second_copy(folder):
    service = fixed_ports(folder, "ingest.database_deadline_ms=700")
    try:
        publisher = Journalled("AGG-A", service.telemetry, service.control, folder / "a.journal")
        start = time.time() - 3600
        n = 0
        for _ in range(4):
            until = time.monotonic() + 1
            frozen = []
            while time.monotonic() < until:
                publisher.publish([sample(n + k, start) for k in range(50)])
                n += 50
                publisher.serve()
                if not frozen and until - time.monotonic() < 0.5:
                    frozen = freeze(backends(service))
                time.sleep(0.002)
            # Longer than the deadline: the service has cut the connection and tries again on another.
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                publisher.serve(20)
            thaw(frozen)
            serve_until(publisher, lambda: publisher.durable > n // 50 - 100, what="some progress")
        serve_until(publisher, lambda: publisher.durable == publisher.last)
        assert stored(service) == n and doubled(service) == "0"
        assert service.metric("backfeed_store_failures_total") > 0
    finally:
        service.stop()


def test_an_outage_goes_to_the_spool_and_comes_back_in_order(folder):
    """A plain publisher, no journal: only the spool can save what it sends."""
    service = fixed_ports(folder, "spool.segment_bytes=65536", "ingest.database_deadline_ms=1000")
    try:
        publisher = Publisher(service, "AGG-A")
        start = time.time() - 3600
        sent = 0

        def send(count):
            nonlocal sent
            for _ in range(count):
                publisher.samples(*[sample(sent + k, start) for k in range(10)])
                sent += 10
        send(50)
        wait_for(lambda: stored(service) == sent, what="the first part")
        frozen = freeze([postmaster(service), *backends(service)])
        send(50)
        wait_for(lambda: service.metric("backfeed_spool_bytes") > 0, what="the spool")
        send(500)
        wait_for(lambda: service.metric("backfeed_spool_messages") >= 500, what="five hundred on the spool")
        # The service is killed while the database is away: what it had taken is on disk.
        service.process.send_signal(signal.SIGKILL)
        service.process.wait()
        thaw(frozen)
        segments = sorted((folder / "state/spool").glob("*.segment"))
        assert len(segments) > 1
        with open(segments[-1], "ab") as torn:
            torn.write(b"\x55" * 21)
        service.start()
        wait_for(lambda: stored(service) == sent, what="everything that was sent")
        assert doubled(service) == "0" and "torn" in (folder / "service.log").read_text()
        assert service.sql("SELECT count(*) FROM backfeed.data_gap") == "0"
        wait_for(lambda: service.metric("backfeed_spool_bytes") == 0, what="an empty spool")
        wait_for(lambda: sum(f.stat().st_size for f in (folder / "state/spool").glob("*")) < 100, what="the room given back")
        send(5)
        wait_for(lambda: stored(service) == sent, what="direct again")
    finally:
        service.stop()


def test_a_full_spool_stops_reading_and_goes_on(folder):
    service = fixed_ports(folder, "spool.segment_bytes=65536", "spool.max_bytes=1000000", "ingest.database_deadline_ms=1000")
    try:
        publisher = Journalled("AGG-A", service.telemetry, service.control, folder / "a.journal")
        start = time.time() - 3600
        publisher.publish([sample(0, start)])
        serve_until(publisher, lambda: publisher.durable == 1)
        frozen = freeze([postmaster(service), *backends(service)])
        try:
            n, until = 1, time.monotonic() + 60
            while service.metric("backfeed_spool_full_total") == 0:
                assert time.monotonic() < until
                for _ in range(20):
                    publisher.publish([sample(n * 100 + k, start) for k in range(100)])
                    n += 1
                publisher.serve(50)
            used = sum(f.stat().st_size for f in (folder / "state/spool").glob("*"))
            assert 500_000 < used <= 1_000_000
        finally:
            thaw(frozen)
        serve_until(publisher, lambda: publisher.durable == publisher.last, 120)
        assert stored(service) == 1 + (n - 1) * 100 and doubled(service) == "0"
    finally:
        service.stop()


def test_a_stop_while_the_spool_is_full_keeps_what_was_taken_from_the_socket(folder):
    """A publisher without a journal: what libzmq has handed over is ours to keep, also the one message that found no room."""
    service = fixed_ports(folder, "spool.segment_bytes=65536", "spool.max_bytes=1000000", "ingest.database_deadline_ms=1000")
    frozen = []
    try:
        publisher = Publisher(service, "AGG-A")
        start = time.time() - 3600
        publisher.samples(sample(0, start))
        wait_for(lambda: stored(service) == 1, what="the first sample")
        frozen = freeze([postmaster(service), *backends(service)])
        sent, until = 1, time.monotonic() + 60
        while service.metric("backfeed_spool_full_total") == 0:
            assert time.monotonic() < until
            for _ in range(20):
                publisher.samples(*(sample(sent * 100 + k, start) for k in range(100)))
                sent += 1
            time.sleep(0.05)
        taken = service.metric("backfeed_messages_received_total", aggregator="AGG-A")
        service.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in (folder / "service.log").read_text(), what="the stop")
        time.sleep(1)
        thaw(frozen)
        service.process.wait(60)
        publisher.socket.close(linger=0)
        service.start()
        # Each message but the first has a hundred samples.
        wait_for(lambda: stored(service) >= 1 + (taken - 1) * 100, what="all that was taken")
        assert doubled(service) == "0"
    finally:
        thaw(frozen)
        service.stop()


def test_stopping_while_the_database_is_away_leaves_everything_on_the_spool(folder):
    service = fixed_ports(folder, "ingest.database_deadline_ms=500")
    frozen = []
    try:
        publisher = Publisher(service, "AGG-A")
        start = time.time() - 3600
        publisher.samples(sample(0, start))
        wait_for(lambda: stored(service) == 1, what="the first sample")
        frozen = freeze([postmaster(service), *backends(service)])
        for n in range(1, 100):
            publisher.samples(sample(n, start))
        wait_for(lambda: service.metric("backfeed_store_failures_total") > 0, what="a failure")
        service.process.send_signal(signal.SIGTERM)
        # It must get away although PostgreSQL, its own child, does not answer.
        wait_for(lambda: "stopping" in (folder / "service.log").read_text(), what="the stop")
        wait_for(lambda: sum(f.stat().st_size for f in (folder / "state/spool").glob("*")) > 5_000, what="the spool")
        thaw(frozen)
        service.process.wait(60)
        service.start()
        wait_for(lambda: stored(service) == 100, what="all hundred")
        assert doubled(service) == "0"
    finally:
        thaw(frozen)
        service.stop()


# --- who may speak


@pytest.fixture
def guarded(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    service = Service(folder, settings=("telemetry.security=curve", "telemetry.max_messages_per_s=200"))
    yield service
    service.stop()


def key_of(service, name):
    path = service.folder / f"{name}.key"
    done = run("access", "add-publisher", name, "--key-file", path, "--data-dir", service.folder / "state")
    assert name in done.stdout and oct(path.stat().st_mode & 0o777) == "0o600"
    values = dict(line.split(" = ") for line in path.read_text().splitlines() if " = " in line)
    return tuple(values[k].strip('"') for k in ("public_key", "secret_key", "server_key"))


def test_keys_decide_who_may_speak_and_for_whom(guarded, folder):
    start = time.time() - 3600
    a, b = (Journalled(name, guarded.telemetry, guarded.control, folder / name, key_of(guarded, name)) for name in ("AGG-A", "AGG-B"))
    for n in range(20):
        a.publish([sample(n, start)])
        b.publish([sample(n, start, "FH-F02")])
    for publisher in (a, b):
        serve_until(publisher, lambda: publisher.durable == 20)
    assert stored(guarded) == 40

    # A stranger's key, and no key at all, get nothing through.
    public, secret = (part.decode() for part in zmq.curve_keypair())
    stranger = Journalled("AGG-A", guarded.telemetry, guarded.control, folder / "s", (public, secret, key_of(guarded, "AGG-C")[2]))
    plain = Journalled("AGG-A", guarded.telemetry, guarded.control, folder / "p")
    for publisher in (stranger, plain):
        for n in range(20):
            publisher.publish([sample(100 + n, start)])
            publisher.serve(10)
    wait_for(lambda: guarded.metric("backfeed_handshakes_refused") > 0, what="a refused handshake")
    assert stored(guarded) == 40 and stranger.durable == plain.durable == 0

    # The wrong name on a good key, and another's device.
    b.topic = b"telemetry/1/AGG-A/json"
    b.publish([sample(200, start)])
    wait_for(lambda: guarded.metric("backfeed_rejects_total", aggregator="AGG-B", reason="wrong_aggregator") == 1, what="wrong name")
    b.topic = b"telemetry/1/AGG-B/json"
    b.publish([sample(201, start, "FH-F01")])
    wait_for(lambda: guarded.metric("backfeed_rejects_total", aggregator="AGG-B", reason="wrong_aggregator") == 2, what="wrong device")

    # A capture that is played again by its own publisher is known.
    a.live.send_multipart(a.frames(3, json.dumps({"samples": [sample(2, start)]}).encode()))
    wait_for(lambda: guarded.metric("backfeed_messages_duplicate_total", aggregator="AGG-A") == 1, what="a replayed capture")
    assert stored(guarded) == 40

    # Revoked: out within seconds, on the open connection too.
    assert "revoked 1 key" in run("access", "revoke", "AGG-B", "--data-dir", folder / "state").stdout
    listing = run("access", "list", "--data-dir", folder / "state").stdout
    assert "AGG-B" in listing and "revoked" in listing
    time.sleep(3)
    b.publish([sample(300, start, "FH-F02")])
    wait_for(lambda: guarded.metric("backfeed_rejects_total", aggregator="AGG-B", reason="revoked_key") >= 1, what="revoked")
    assert stored(guarded) == 40
    run("access", "revoke", "nobody", "--data-dir", folder / "state", expect=1)
    run("access", "add-publisher", "AGG-D", "--public-key", "short", "--data-dir", folder / "state", expect=2)


def test_a_flood_is_refused_and_the_others_keep_their_rate(guarded, folder):
    start = time.time() - 3600
    quiet, loud = (Journalled(name, guarded.telemetry, guarded.control, folder / name, key_of(guarded, name)) for name in ("AGG-A", "AGG-B"))
    payload = json.dumps({"samples": [sample(0, start, "FH-F02")]}).encode()
    sequence, n = 0, 0

    def refused():
        return guarded.metric("backfeed_rejects_total", aggregator="AGG-B", reason="rate_limited")

    # As fast as it goes, until it has been felt: what a machine sends in a second differs by a factor of ten.
    until = time.monotonic() + 60
    while refused() <= 1000 and time.monotonic() < until:
        for _ in range(2000):
            sequence += 1
            loud.live.send_multipart(loud.frames(sequence, payload))
        quiet.publish([sample(n, start)])
        n += 1
        quiet.serve(20)
    serve_until(quiet, lambda: quiet.durable == n)
    assert refused() > 1000
    assert guarded.metric("backfeed_rejects_total", aggregator="AGG-A") == 0


def test_without_keys_only_loopback_is_accepted(folder):
    for key in ("telemetry.bind", "control.bind"):
        refused = run("run", "--data-dir", folder / "state", "--set", f"{key}=tcp://0.0.0.0:0", expect=2)
        assert "telemetry.security" in refused.stderr


def test_a_revision_is_taken_over_although_the_database_goes_away_just_then(folder):
    service = fixed_ports(folder, f"http.listen=127.0.0.1:{free_port()}")
    try:
        grid = folder / "grid"
        shutil.copytree(DATA / "network", grid / "network")
        text = (grid / "network/switches.csv").read_text().splitlines()
        (grid / "network/switches.csv").write_text("\n".join([text[0], *text[2:]]) + "\n")
        log = folder / "service.log"
        run("network", "import", grid, "--data-dir", folder / "state")
        wait_for(lambda: "starting the parts again" in log.read_text(), every=0.005, what="the end of the parts")
        os.kill(postmaster(service), signal.SIGKILL)

        def revision():
            with contextlib.suppress(OSError):
                return service.get("/v1/network")["revision"]
        wait_for(lambda: revision() == 2, what="the parts on revision 2")
        assert service.process.poll() is None
    finally:
        service.stop()


def test_a_short_chaos_loses_nothing_doubles_nothing_and_approves_nothing_that_is_forbidden():
    from chaos import chaos
    result = chaos(17, seed=20261124)
    assert all(result[deed] > 0 for deed in ("publisher", "service", "postgres", "backend", "connections", "network"))
    assert all(result["positions"][kind] > 0 for kind in ("good", "bad", "late", "early", "repeated", "refused"))
    if os.geteuid() == 0:
        assert result["disk"] > 0
