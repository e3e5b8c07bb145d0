"""From an aggregator's publish to an operator's advisory, through the running service."""
import json
import signal
import struct
import subprocess
import threading
import time
import urllib.request

import pytest
import zmq
from conftest import BACKFEED, DATA, Publisher, ROOT, Service, free_port, rfc3339, run, wait_for
from test_lossless import backends, freeze, thaw

DAY = 86_400


def heads(feeder, start, powers, step=5):
    return [{"device": f"FH-{feeder}", "time": rfc3339(start + n * step), "active_power_w": p, "voltage_v": 20_400} for n, p in enumerate(powers)]


def batches(items, size=200):
    for at in range(0, len(items), size):
        yield items[at:at + size]


def stored(service):
    return int(service.sql("SELECT count(*) FROM backfeed_store.sample"))


def test_a_reverse_spell_from_socket_to_acknowledgement(service, folder):
    context = zmq.Context()
    feed = context.socket(zmq.SUB)
    feed.connect(service.advisories)
    feed.subscribe("")
    beats, events = [], []

    def listen(seconds, enough):
        until = time.monotonic() + seconds
        while time.monotonic() < until and not enough():
            if feed.poll(200):
                topic, body = feed.recv_multipart()
                (beats if topic == b"heartbeat/1" else events).append((topic.decode(), json.loads(body)))

    listen(10, lambda: beats)
    start = int(time.time() // 60) * 60 - 3600
    publisher = Publisher(service, "UTIL-SCADA")
    for part in batches(heads("F02", start, [300_000] * 60 + [-900_000] * 120 + [300_000] * 120)):
        publisher.samples(*part)
    listen(30, lambda: any(e["type"].endswith("cleared") for _, e in events))
    assert [e["type"].rsplit(".", 1)[1] for _, e in events if e["data"]["kind"] == "reverse_power"][0] == "raised"
    topic, raised = events[0]
    assert topic == "advisory/1/F02/reverse_power"
    assert raised["specversion"] == "1.0" and raised["subject"] == raised["data"]["id"]
    data = raised["data"]
    assert data["onset"] == rfc3339(start + 300).replace(".000", "") and data["raised_at"] == rfc3339(start + 360).replace(".000", "")
    assert data["limit"]["unit"] == "W" and data["response"] and data["evidence"]["series"]
    sequences = [e["sequence"] for _, e in events]
    assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))
    assert "F02" in wait_for(lambda: (listen(2, lambda: False), beats[-1][1]["watermarks"])[1], what="watermark")

    advisory = next(a for a in service.get("/v1/advisories?feeder=F02&kind=reverse_power")["items"])
    assert advisory["state"] == "unacknowledged_cleared" and advisory["cleared_at"]
    status, refusal = service.send("POST", f"/v1/advisories/{advisory['id']}/acknowledge", {"version": 99})
    assert status == 409 and "version 99" in refusal["detail"]
    status, done = service.send("POST", f"/v1/advisories/{advisory['id']}/acknowledge", {"version": advisory["version"], "actor": "ann"})
    assert status == 200 and done["state"] == "closed" and done["acknowledged_by"] == "ann"
    assert [h["type"] for h in done["history"]][0] == "raised" and done["history"][-1]["actor"] == "ann"
    assert service.send("POST", f"/v1/advisories/{advisory['id']}/acknowledge", {})[0] == 409
    assert service.send("POST", "/v1/advisories/nothing/acknowledge", {})[0] == 404

    # The same through SSE, from any number on.
    request = urllib.request.Request(service.http + "/v1/events", headers={"Last-Event-ID": str(sequences[0] - 1)})
    with urllib.request.urlopen(request, timeout=10) as stream:
        seen = []
        while len(seen) < len(sequences) + 1:
            line = stream.readline().decode()
            if line.startswith("id: "):
                seen.append(int(line[4:]))
    assert seen == list(range(sequences[0], sequences[-1] + 2))

    # And in the profile: reverse energy of ten minutes at 900 kW, the head's voltage.
    rows = wait_for(lambda: service.get(f"/v1/feeders/F02/profile?bucket=1m")["items"], what="profile")
    assert abs(sum(r["reverse_wh"] or 0 for r in rows) - 150_000) < 2_000
    assert abs(rows[5]["voltage_pu"] - 1.02) < 1e-3
    table = run("profile", "F02", "--bucket", "1m", "--format", "csv", "--data-dir", folder / "state").stdout
    assert table.startswith("time,net_w") and len(table.splitlines()) == len(rows) + 1
    plot = run("profile", "F02", "--bucket", "1m", "--format", "plot", "--data-dir", folder / "state").stdout
    assert "-900 kW" in plot and "reverse power" in plot
    assert advisory["id"] in run("advisories", "--data-dir", folder / "state").stdout
    publisher.close()


def test_bad_input_is_refused_by_name_and_the_good_around_it_is_stored(service):
    now = time.time()
    good = 0
    publisher = Publisher(service, "AGG-A")

    def sample(**change):
        return {"device": "FH-F01", "time": rfc3339(now), "active_power_w": 1.0, **change}

    def expect(reason, count=1):
        wait_for(lambda: service.metric("backfeed_rejects_total", reason=reason) >= count, what=f"reject {reason}")

    def good_one():
        nonlocal good
        good += 1
        publisher.samples(sample(time=rfc3339(now + good)))

    good_one()
    publisher.raw(b"one frame")
    publisher.raw(b"telemetry/1/AGG-A/json", b"two frames")
    publisher.raw(*[b"x"] * 12)
    expect("wrong_frame_count", 3)
    position = struct.pack(">QQ", publisher.epoch, 7)
    publisher.raw(b"weather/1/AGG-A/json", position, b"{}")
    publisher.raw(b"\xff\xfe", position, b"{}")
    expect("bad_topic", 2)
    publisher.raw(b"telemetry/1/AGG-A/xml", position, b"{}")
    expect("unknown_encoding")
    publisher.raw(b"telemetry/1/AGG-A/json", b"short", b"{}")
    expect("bad_position")
    good_one()
    publisher.send(b'{"samples":[')
    expect("malformed")
    publisher.send(b'{"samples":[{"device":"FH-F01","time":1,"active_power_w":NaN}]}')
    expect("malformed", 2)
    publisher.send({"samples": []})
    expect("empty_batch")
    publisher.samples(sample(device="nobody"), sample(time=rfc3339(now + 100)))
    good += 1
    expect("unknown_device")
    publisher.samples(sample(time="1970-01-01T00:00:00Z"), sample(time="2100-01-01T00:00:00Z"), sample(time="noon"), sample(active_power_w=None))
    for reason in ("time_too_old", "time_in_future", "bad_time", "no_quantity"):
        expect(reason)
    protobuf = Publisher(service, "AGG-P", "protobuf")
    # time_us now, device "FH-F02", active power NaN: by the published schema's field numbers.
    micros, varint = int(now * 1e6), b""
    while micros:
        varint += bytes([micros & 127 | (128 if micros > 127 else 0)])
        micros >>= 7
    body = b"\x0a\x06FH-F02\x12\x01\x00\x1a" + bytes([len(varint)]) + varint
    protobuf.send(body + b"\x22\x06\x12\x04" + struct.pack("<f", float("nan")))
    expect("not_finite")
    protobuf.send(body + b"\x22\x06\x12\x04" + struct.pack("<f", 5.0))
    good += 1
    protobuf.send(body[:9])
    expect("malformed", 3)
    other = Publisher(service, "AGG-B")
    other.samples(sample())
    expect("wrong_aggregator")
    for n in range(10_000):
        publisher.send(bytes([n % 256]) * (n % 50))
    expect("malformed", 9_000)
    # After the flood: a large message shortens the queues for a while, and this publisher keeps no journal.
    publisher.send(b"x" * 4_000_000)
    expect("too_large")
    good_one()
    wait_for(lambda: stored(service) == good, what=f"{good} good samples")
    assert int(service.sql("SELECT count(*) FROM backfeed_store.rejected_sample")) >= 10_000
    assert service.sql("SELECT bytes FROM backfeed_store.rejected_sample WHERE reason = 'unknown_device'") \
        == "\\x" + json.dumps(sample(device="nobody")).encode().hex()
    assert service.get("/readyz")["status"] == "ready"
    assert service.process.poll() is None


def test_duplicates_are_dropped_and_gaps_are_counted_and_shown(service):
    now = time.time()
    publisher = Publisher(service, "AGG-A")
    for sequence in (1, 2, 2, 5, 4, 4, 9):
        publisher.send({"samples": [{"device": "FH-F01", "time": rfc3339(now + sequence), "active_power_w": 1}]}, sequence=sequence)
    wait_for(lambda: stored(service) == 5, what="five messages")
    wait_for(lambda: service.metric("backfeed_sequence_missing", aggregator="AGG-A") == 4, what="missing 3, 6, 7, 8")
    assert service.metric("backfeed_messages_duplicate_total", aggregator="AGG-A") == 2
    assert service.sql("SELECT string_agg(first_sequence || '-' || last_sequence, ',' ORDER BY 1) FROM backfeed.data_gap") == "3-3,6-8"
    # The journal starts afresh: what was missing, and whatever was sent last, cannot be asked for any more.
    fresh = Publisher(service, "AGG-A", epoch=publisher.epoch + 1)
    fresh.samples({"device": "FH-F01", "time": rfc3339(now + 60), "active_power_w": 1})
    wait_for(lambda: stored(service) == 6, what="the new epoch")
    assert service.sql(
        "SELECT string_agg(first_sequence || '-' || coalesce(last_sequence::text, '?') || ' ' || reason, ',' ORDER BY id) "
        "FROM backfeed_store.data_gap") == "3-3 epoch_replaced,6-8 epoch_replaced,10-? epoch_replaced"
    assert service.sql("SELECT count(*) FROM backfeed.data_gap WHERE state = 'open'") == "0"


def test_a_switch_moves_devices_by_api_and_by_telemetry(service):
    device = service.get("/v1/devices?feeder=F06&kind=pv&limit=1")["items"][0]
    assert device["feeder"] == device["normal_feeder"] == "F06"
    before = {f["id"]: f["der_count"] for f in service.get("/v1/feeders")["items"]}
    assert service.send("PUT", "/v1/network/switches/nowhere", {"position": "open"})[0] == 404
    tie, head = "MV2.101_loop_line_switch_5.2", "MV2.101_Switch_139"
    status, answer = service.send("PUT", f"/v1/network/switches/{tie}", {"position": "closed", "actor": "ann", "reason": "transfer"})
    assert status == 200 and answer["switch_position"] == "closed"
    assert service.get("/v1/network")["loops"] == 1
    publisher = Publisher(service, "UTIL-SCADA")
    publisher.samples({"device": head, "time": rfc3339(time.time()), "switch_position": "open"})
    wait_for(lambda: service.get(f"/v1/devices/{device['id']}")["feeder"] == "F05", what="device on F05")
    after = {f["id"]: f["der_count"] for f in service.get("/v1/feeders")["items"]}
    assert after["F06"] == 0 and after["F05"] == before["F05"] + before["F06"]
    assert service.get(f"/v1/devices/{device['id']}")["normal_feeder"] == "F06"
    assert service.sql("SELECT string_agg(source || ' ' || actor, ',' ORDER BY recorded_at) FROM backfeed_store.switch_position") == "manual ann,telemetry telemetry"
    # A restart remembers.
    service.stop()
    service.start()
    assert service.get(f"/v1/devices/{device['id']}")["feeder"] == "F05"


def replay(service, *options, **kwargs):
    return subprocess.Popen(
        [str(BACKFEED), "replay", str(DATA), "--window", "day", "--to", service.telemetry, *options], stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, **kwargs)


def advisory_rows(service):
    return service.sql(
        "SELECT kind, element, onset, ended_at, cleared_at, version, state, severity FROM backfeed_store.advisory "
        "WHERE kind <> 'data_gap' ORDER BY kind, element, onset")


def caught_up(service, last):
    """All that was sent is stored, and analysed to within the lateness of its end."""
    def check():
        marks = service.sql("SELECT min(minute) >= '%s' FROM backfeed_store.analyser_position WHERE name NOT LIKE 'bank/%%'" % last)
        return marks == "t"
    wait_for(check, 180, 0.5, what="the analyser to catch up")


WINDOW = ("--from", "2016-07-21T05:00:00Z", "--until", "2016-07-21T06:30:00Z", "--speed", "max", "--feeders", "F02,F04,F09")


def test_two_runs_and_both_encodings_give_the_same_advisories(folder):
    results = []
    for number, encoding in enumerate(("protobuf", "json")):
        place = folder / str(number)
        place.mkdir(mode=0o755)
        run("network", "import", DATA, "--data-dir", place / "state")
        service = Service(place)
        try:
            sent = replay(service, *WINDOW, "--encoding", encoding).communicate(timeout=300)[0]
            count = int(sent.split()[1])
            wait_for(lambda: stored(service) == count, 120, what="all samples")
            caught_up(service, "2016-07-21T06:25:00Z")
            assert service.metric("backfeed_sequence_missing") == 0
            results.append(service.sql(
                "SELECT event::jsonb #>> '{data,kind}', event::jsonb #>> '{data,element}', event::jsonb #>> '{data,onset}', type, event::jsonb #>> '{data,severity}' "
                "FROM backfeed_store.advisory_event ORDER BY event::jsonb #>> '{data,watermark}', 1, 2, sequence"))
        finally:
            service.stop()
    assert results[0] == results[1] and "reverse_power" in results[0]


def test_kill_in_mid_replay_doubles_nothing(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    # A fixed port: the publisher finds the service again.
    service = Service(folder, "run", settings=(f"telemetry.bind=tcp://127.0.0.1:{free_port()}",))
    try:
        publisher = replay(service, "--from", "2016-07-21T05:00:00Z", "--until", "2016-07-21T06:30:00Z", "--speed", "200", "--feeders", "F02,F04,F09")
        for _ in range(2):
            before = stored(service)
            wait_for(lambda: stored(service) > before + 5_000, what="samples to flow")
            service.process.send_signal(signal.SIGKILL)
            service.process.wait(30)
            service.start()
        sent = int(publisher.communicate(timeout=300)[0].split()[1])
        wait_for(lambda: service.sql("SELECT count(*) FROM backfeed_store.advisory WHERE kind = 'reverse_power'") >= "2", what="advisories")
        caught_up(service, "2016-07-21T06:20:00Z")
        assert service.sql("SELECT count(*) FROM (SELECT device_id, time FROM backfeed_store.sample GROUP BY 1, 2 HAVING count(*) > 1) AS doubled") == "0"
        assert stored(service) <= sent
        # One advisory for one cause: no two of a kind on an element overlap, and events are gapless.
        assert service.sql(
            "SELECT count(*) FROM backfeed_store.advisory a JOIN backfeed_store.advisory b ON a.kind = b.kind AND a.element = b.element "
            "AND a.id < b.id AND a.onset < coalesce(b.cleared_at, 'infinity') AND b.onset < coalesce(a.cleared_at, 'infinity')") == "0"
        assert service.sql("SELECT count(*) = max(sequence) FROM backfeed_store.advisory_event") == "t"
        assert service.sql("SELECT count(*) FROM backfeed_store.advisory WHERE kind = 'reverse_power' AND element IN ('FH-F02','FH-F04')") == "2"
    finally:
        service.stop()


def test_memory_stays_bounded_while_the_database_stands_still(service):
    publisher = Publisher(service, "AGG-A")
    resident = lambda: int(open(f"/proc/{service.process.pid}/statm").read().split()[1]) * 4096 / 1e6
    start = time.time() - DAY
    sent = 0

    def flood(seconds):
        nonlocal sent
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            publisher.samples(*[{"device": "FH-F01", "time": int((start + sent * 0.001 + n * 0.001) * 1e6), "active_power_w": n} for n in range(200)])
            sent += 200
            if sent % 20_000 == 0:
                time.sleep(0.02)
    flood(1)
    wait_for(lambda: stored(service) == sent, what="the first part")
    frozen = freeze(backends(service))
    assert frozen
    try:
        flood(4)
        assert resident() < 400, resident()
    finally:
        thaw(frozen)
    wait_for(lambda: stored(service) == sent, 120, what="everything that was sent")


def test_a_database_of_ones_own_migrated_from_two_places_at_once(service, folder):
    service.sql("CREATE DATABASE other")
    url = f"database.url=host={folder}/state/postgres user=backfeed dbname=other"
    at_once = [subprocess.Popen([str(BACKFEED), "migrate", "--set", url], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = sorted(process.communicate(timeout=60)[0].strip() for process in at_once)
    assert outputs[1:] == ["nothing to do"] * 2 and outputs[0].startswith("applied 0001"), outputs
    run("network", "import", DATA, "--set", url)
    place = folder / "other"
    place.mkdir(mode=0o755)
    other = Service(place, settings=(url,))
    try:
        publisher = Publisher(other, "AGG-A")
        publisher.samples({"device": "FH-F01", "time": rfc3339(time.time()), "active_power_w": 5})
        wait_for(lambda: other.metric("backfeed_samples_stored_total") == 1, what="a sample")
        assert stored(service) == 0 and not (place / "state/postgres").exists()
    finally:
        other.stop()


def test_metrics_are_prometheus_and_health_answers(service):
    publisher = Publisher(service, "AGG-A")
    publisher.samples({"device": "FH-F01", "time": rfc3339(time.time()), "active_power_w": 5})
    wait_for(lambda: stored(service) == 1, what="a sample")
    checked = subprocess.run(["promtool", "check", "metrics"], input=service.get("/metrics"), capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert service.get("/healthz") == {"status": "alive"}


def test_the_first_sample_of_the_readme_arrives(service):
    readme = (ROOT / "README.md").read_text()
    code = readme.split("```python\n", 1)[1].split("```", 1)[0].replace("tcp://127.0.0.1:5560", service.telemetry)
    subprocess.run([str(ROOT / ".venv/bin/python"), "-c", code], check=True, timeout=60)
    wait_for(lambda: stored(service) >= 1, what="the README's sample")
