"""Profiles hold what was measured, whenever it arrived."""
import random
import struct
import threading
import time

import pytest
import zmq
from axe_playwright_python.sync_playwright import Axe
from conftest import DATA, OUTPUT, Service, run, wait_for
from playwright.sync_api import expect, sync_playwright

COLUMNS = (
    "net_w net_min_w net_max_w reactive_var voltage_pu voltage_min_pu voltage_max_pu pv_w battery_w ev_charger_w "
    "other_der_w native_w reverse_wh forward_wh head_coverage der_coverage").split()


def recorded():
    """A day of two feeders as their aggregators publish it, one message of eight: topic and payload, in the order sent."""
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, 0)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    thread = threading.Thread(target=run, args=(
        "replay", DATA, "--window", "day", "--feeders", "F01,F02", "--to", f"tcp://127.0.0.1:{port}", "--speed", "max"))
    thread.start()
    messages = []
    while thread.is_alive() or socket.poll(500):
        if socket.poll(100):
            topic, position, payload = socket.recv_multipart()
            messages.append((topic, payload))
    thread.join()
    socket.close(0)
    return messages[::8]


def publish(service, messages):
    socket = zmq.Context.instance().socket(zmq.XPUB)
    socket.setsockopt(zmq.SNDHWM, 1000)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.connect(service.telemetry)
    assert socket.poll(10_000)
    socket.recv()
    epoch, sequences = int(time.time() * 1e6), {}
    for topic, payload in messages:
        sequences[topic] = sequences.get(topic, 0) + 1
        socket.send_multipart([topic, struct.pack(">QQ", epoch, sequences[topic]), payload])
    wait_for(
        lambda: service.sql("SELECT coalesce(sum(last_sequence), 0) FROM backfeed_store.stream_position") == str(sum(sequences.values())),
        seconds=240, what="everything stored")
    socket.close(0)


def positions(service):
    return service.sql("SELECT name, minute FROM backfeed_store.analyser_position ORDER BY 1")


def profile(service, width, until):
    """Rows by feeder and time."""
    columns = ", ".join(COLUMNS)
    text = service.sql(f"SELECT feeder, normal_feeder, time, {columns} FROM backfeed.feeder_profile_{width} WHERE time < '{until}'")
    rows = {}
    for line in text.splitlines():
        fields = line.split("|")
        rows[tuple(fields[:3])] = [float(field) if field else None for field in fields[3:]]
    return rows


def spells(service, until):
    """What would have been said had everything come in time: as it was said, and as late samples have amended it. Without
    gaps: with one message of eight there are many, and when they are over depends on the order of arrival too."""
    columns = "'kind', 'element', 'detector', 'severity', 'raised_at', 'cleared_at'"
    text = service.sql(f"""
        WITH said AS (SELECT DISTINCT ON (spell) spell, event::jsonb -> 'data' AS facts FROM backfeed_store.advisory_event
            WHERE actor = 'analyser' ORDER BY spell, sequence DESC),
        newest AS (SELECT DISTINCT ON (spell) * FROM backfeed_store.advisory_amendment ORDER BY spell, number DESC),
        amended AS (SELECT coalesce(CASE WHEN n.change <> 'withdrawn' THEN after END, facts) AS facts
            FROM said FULL JOIN newest n USING (spell) WHERE n.change IS DISTINCT FROM 'gone')
        SELECT (SELECT string_agg(facts ->> key, ' ' ORDER BY key) FROM unnest(ARRAY[{columns}]) key) FROM amended
        WHERE (facts ->> 'raised_at')::timestamptz < '{until}'
        AND facts ->> 'kind' NOT IN ('data_gap', 'reverse_power_forecast', 'overload_forecast', 'voltage_forecast', 'chatter', 'clock_suspect')""")
    return set(text.splitlines())


def look_at_amendments(service, advisory):
    """On the page of the advisory, and in the shift summary."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
        page.goto(f"{service.http}/advisory.html?id={advisory}")
        expect(page.locator("#late")).to_contain_text("It would not have been raised.")
        page.screenshot(path=OUTPUT / "advisory-amended.png", full_page=True)
        assert Axe().run(page).violations_count == 0
        page.goto(f"{service.http}/shift.html")
        expect(page.locator("#late")).to_contain_text("Not raised at the time: ")
        page.screenshot(path=OUTPUT / "shift-amended.png")
        assert Axe().run(page).violations_count == 0
        browser.close()


def test_a_shuffled_day_gives_the_same_profile_and_in_the_end_the_same_advisories(folder):
    messages = recorded()
    assert len(messages) > 2000
    shuffled = messages[:]
    random.Random(20261124).shuffle(shuffled)
    profiles, said, amended = [], [], []
    for name, order in (("even", messages), ("shuffled", shuffled)):
        place = folder / name
        place.mkdir(mode=0o755)
        run("network", "import", DATA, "--data-dir", place / "state")
        service = Service(place, settings=("profile.amend_after_s=3", "data_gap.per_device=false", "telemetry.max_messages_per_s=0", "telemetry.max_bytes_per_s=0"))
        try:
            publish(service, order)
            wait_for(lambda: positions(service) == (time.sleep(3), positions(service))[1], seconds=120, what="the analysis at rest")
            # The last quarter hours have no data after them that would close them.
            until = service.sql("SELECT date_bin('15 minutes', min(minute), 'epoch') - interval '15 minutes' FROM backfeed_store.analyser_position WHERE name IN ('F01', 'F02')")
            wait_for(
                lambda: service.sql(f"SELECT count(*) FROM backfeed.profile_amendment WHERE quarter < '{until}'") == "0",
                seconds=240, what="late samples in the profiles")
            late = float(service.metric("backfeed_samples_late_total"))
            said.append(spells(service, until))
            amended.append(service.sql("SELECT change, count(*) FROM backfeed.advisory_amendment GROUP BY 1 ORDER BY 1"))
            if name == "shuffled":
                newest = service.get("/v1/amendments?limit=1000")["items"]
                gone = next(item for item in newest if item["change"] == "gone")
                assert gone["after"] is None and gone["late"]["samples"] > 0 and not gone["retro"]
                assert gone in service.get(f"/v1/advisories/{gone['advisory']}")["amendments"]
                new = next(item for item in newest if item["change"] == "new")
                assert new["retro"] and new["advisory"] is None and new["after"]["raised_at"] <= new["watermark"]
                # Nobody was called for what nobody could act on any more.
                assert service.sql("SELECT count(*) FROM backfeed_store.advisory_event WHERE annunciates AND actor = 'service'") == "0"
                look_at_amendments(service, gone["advisory"])
                shown = run("advisories", "--amended", "--data-dir", place / "state").stdout
                assert "--kind does not go with --amended" in run("advisories", "--amended", "--kind", "data_gap", "--data-dir", place / "state", expect=2).stderr
                assert f"{len(newest)} amendments" in shown and "reverse_power" in shown
            profiles.append((until, late, {width: profile(service, width, until) for width in ("1m", "15m")}))
        finally:
            service.stop()
    (until, even_late, even), (other_until, shuffled_late, mixed) = profiles
    # Where data begins, the first to arrive decides how far back there are empty minutes.
    start = min(key[2] for key, row in even["15m"].items() if row[0] is not None)
    for rows in (*even.values(), *mixed.values()):
        for key in [key for key in rows if key[2] < start]:
            del rows[key]
    assert until == other_until and shuffled_late > 10_000 and even_late < shuffled_late / 100
    for width in ("1m", "15m"):
        assert len(even[width]) > 150 and even[width].keys() == mixed[width].keys()
        for key, row in even[width].items():
            for column, expected, found in zip(COLUMNS, row, mixed[width][key]):
                assert (expected is None) == (found is None), (width, key, column, expected, found)
                if expected is not None:
                    assert found == pytest.approx(expected, rel=1e-6, abs=1e-6), (width, key, column)
    assert said[0] == said[1] and len(said[0]) >= 5 and any("RPF_HEAD" in spell for spell in said[0])
    assert amended[0] == "" and "new|" in amended[1] and "gone|" in amended[1]
