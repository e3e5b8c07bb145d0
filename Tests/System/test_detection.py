"""Faults of data and weather, as aggregators send them: each found under its own name, none taken for reverse power."""
import csv
import json
import random
import shutil
import time

import pytest
from conftest import DATA, Publisher, Service, rfc3339, run, wait_for
from test_service import batches, heads

FEEDERS = [f"F{n:02d}" for n in range(1, 12)]


def starts(service, since=0):
    """Advisories by detector and element, as they were raised for data after `since`."""
    rows = service.sql(
        "SELECT (event::jsonb)->'data'->>'detector', (event::jsonb)->'data'->>'element', annunciates, severity FROM backfeed_store.advisory_event "
        f"WHERE type = 'raised' AND ((event::jsonb)->>'time')::timestamptz >= to_timestamp({since}) ORDER BY sequence")
    return [tuple(line.split("|")) for line in rows.splitlines()]


def publish(service, aggregator, samples):
    publisher = Publisher(service, aggregator)
    for part in batches(sorted(samples, key=lambda s: s["time"]), 1000):
        publisher.samples(*part)
    return publisher


def analysed(service, feeder, until):
    wait_for(lambda: (service.sql(f"SELECT extract(epoch FROM head) FROM backfeed_store.analyser_position WHERE name = '{feeder}'") or 0) and
             float(service.sql(f"SELECT extract(epoch FROM head) FROM backfeed_store.analyser_position WHERE name = '{feeder}'")) >= until - 60, what=f"{feeder} to be analysed")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_cloud_front_over_all_feeders_asks_for_attention_twice(service, seed):
    draw = random.Random(seed)
    ratings = {f["id"]: f["rating_va"] for f in service.get("/v1/feeders")["items"]}
    assert sorted(ratings) == FEEDERS
    start = int(time.time() // 60) * 60 - 3600
    came = start + 1800
    samples = []
    # The cloud comes over the feeders within four minutes, and takes 25 to 50 % of the rating away in two to four.
    for feeder in FEEDERS:
        delay, length, depth = draw.uniform(0, 240), draw.uniform(120, 240), draw.uniform(0.25, 0.5)
        rating = ratings[feeder]
        powers = [rating * (0.3 + 0.002 * draw.gauss(0, 1) + depth * min(1, max(0, (n * 5 - 1800 - delay) / length))) for n in range(540)]
        samples += heads(feeder, start, powers)
    publish(service, "UTIL-SCADA", samples)
    for feeder in FEEDERS:
        analysed(service, feeder, start + 2700)
    raised = starts(service, came)
    ramps = [r for r in raised if r[0].startswith("RAMP")]
    # Every feeder's ramp is there, with its severity; two of all that was asked to be looked at.
    assert {r[1] for r in ramps} == {f"FH-{f}" for f in FEEDERS} | {"network"}
    asked = service.sql(
        "SELECT advisory_id, (event::jsonb)->'data'->>'detector' FROM backfeed_store.advisory_event WHERE annunciates AND severity < 4 "
        f"AND ((event::jsonb)->>'time')::timestamptz >= to_timestamp({came})").splitlines()
    assert len({line.split("|")[0] for line in asked}) <= 2, asked
    front = next(a for a in service.get("/v1/advisories?state=active")["items"] if a["detector"] == "RAMP_FRONT")
    parts = service.sql(f"SELECT count(DISTINCT advisory_id) FROM backfeed_store.advisory_event WHERE note = 'part of {front['id']}'")
    assert int(parts) == 11
    serious = [int(r[3]) for r in ramps if int(r[3]) <= 2]
    assert serious and front["severity"] <= min(serious)


def pv_of(service, feeder, count):
    return service.sql(f"SELECT name FROM backfeed_store.device WHERE kind = 'pv' AND normal_feeder = '{feeder}' ORDER BY name LIMIT {count}").splitlines()


def flagged(service, device):
    return int(service.sql(f"SELECT count(*) FROM backfeed_store.sample s JOIN backfeed_store.device d ON d.id = s.device_id WHERE d.name = '{device}' AND s.quality & 64 <> 0"))


def test_a_wrong_clock_is_flagged_named_and_not_used(service):
    wrong, right = pv_of(service, "F02", 2)
    start = int(time.time() // 60) * 60 - 900
    scada, sun = Publisher(service, "UTIL-SCADA"), Publisher(service, "AGG-SUN-A")
    # 20 s ahead of our clock: flagged as it comes. What was flagged before has the same end.
    sun.samples({"device": wrong, "time": rfc3339(time.time() + 20), "active_power_w": 900})
    wait_for(lambda: flagged(service, wrong) == 1, what="the flag")
    for minute in range(14):
        scada.samples(*heads("F03", start + 60 * minute, [500_000 + n for n in range(12)]))
        scada.samples(*heads("F02", start + 60 * minute, [500_000 + n for n in range(12)]))
        sun.samples(*({"device": d, "time": rfc3339(start + 60 * minute), "active_power_w": 1000 + minute, "quality": ["CLOCK_SUSPECT"] if d == wrong else []} for d in (wrong, right)))
        time.sleep(0.05)
    found = wait_for(lambda: next((a for a in service.get("/v1/advisories?state=active&feeder=F02")["items"] if a["detector"] == "DQ_CLOCK"), None), what="the clock")
    assert found["element"] == "F02/clock" and [c["device"] for c in found["contributors"]] == [wrong]
    assert flagged(service, right) == 0
    assert not [r for r in starts(service) if r[0].startswith("RPF")]


def test_a_clock_that_is_behind_its_latency_is_named(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    service = Service(folder, settings=("clock.latency_s=UTIL-SCADA: 1", "analysis.scada_lateness_s=5"))
    try:
        scada = Publisher(service, "UTIL-SCADA")
        until = time.time() + 60
        while time.time() < until and flagged(service, "FH-F02") < 20:
            scada.samples(*heads("F02", time.time() - 20, [500_000 + time.time() % 100]))
            scada.samples(*heads("F03", time.time(), [500_000 + time.time() % 100]))
            time.sleep(0.1)
        assert flagged(service, "FH-F02") >= 20 and flagged(service, "FH-F03") == 0
    finally:
        service.stop()


def test_a_frozen_head_is_named_and_its_power_is_unknown(service):
    start = int(time.time() // 60) * 60 - 3000
    scada, sun = Publisher(service, "UTIL-SCADA"), Publisher(service, "AGG-SUN-A")
    devices = pv_of(service, "F02", 5)
    # It feeds back, and after a quarter of an hour its meter stands still.
    for minute in range(49):
        sun.samples(*({"device": d, "time": rfc3339(start + 60 * minute), "active_power_w": 1000 + (minute * 37 + k) % 101} for k, d in enumerate(devices)))
        scada.samples(*heads("F02", start + 60 * minute, [-900_000 - (n * 7919 % 101 if minute < 15 else 0) for n in range(12)]))
        time.sleep(0.05)
    frozen = wait_for(lambda: next((a for a in service.get("/v1/advisories?state=active&feeder=F02")["items"] if a["detector"] == "DQ_FROZEN"), None), what="the frozen meter")
    assert frozen["element"] == "FH-F02"
    reverse = next(a for a in service.get("/v1/advisories?state=active&feeder=F02")["items"] if a["kind"] == "reverse_power")
    assert reverse["uncertain"], "what a frozen meter repeats is no certainty"


def test_what_one_phase_does_is_seen_and_survives_a_restart(service):
    start = int(time.time() // 600) * 600 - 4800
    feeder = "F05"
    rating = next(f["rating_va"] for f in service.get("/v1/feeders")["items"] if f["id"] == feeder)
    part = max(50_000, 0.01 * rating)

    def go(first, last):
        publish(service, "UTIL-SCADA", [
            {"device": f"FH-{feeder}", "time": rfc3339(first + n * 10), "active_power_w": [5 * part + n % 7, 6 * part, -0.8 * part], "voltage_v": [20_300, 19_700, 19_500]}
            for n in range((last - first) // 10)])
        analysed(service, feeder, last)

    go(start, start + 1200)
    wait_for(lambda: any(r[0] == "RPF_PHASE" for r in starts(service)), what="the phase")
    # Half of what must last is known from the store only.
    service.stop()
    service.start()
    go(start + 1200, start + 3000)
    wait_for(lambda: any(r[0] == "V_UNBALANCE" for r in starts(service)), what="the unbalance")
    found = {a["detector"]: a for a in service.get(f"/v1/advisories?feeder={feeder}&state=active")["items"]}
    assert (found["RPF_PHASE"]["kind"], found["RPF_PHASE"]["severity"]) == ("reverse_power", 4)
    # 20.3, 19.7 and 19.5 kV: a negative sequence of 2.4 %.
    assert found["V_UNBALANCE"]["severity"] == 3 and found["V_UNBALANCE"]["peak"]["value"] == pytest.approx(2.42, abs=0.02)
    assert "FH-F05" in found["V_UNBALANCE"]["message"] and found["V_UNBALANCE"]["onset"] < rfc3339(start + 1200)
    assert not [r for r in starts(service) if r[0] == "RPF_HEAD"]


def test_a_regulator_and_a_recloser_are_watched(folder):
    network = folder / "grid" / "network"
    shutil.copytree(DATA / "network", network)
    switches = list(csv.DictReader(open(network / "switches.csv")))
    lines = {line["line_id"]: line for line in csv.DictReader(open(network / "lines.csv"))}
    head = next(s for s in switches if s["role"] == "feeder_head" and s["feeder_id"] == "F02" and s["connects"] == "line")
    forward = "from_to" if lines[head["element_id"]]["from_node"] == head["node_id"] else "to_from"
    (network / "regulators.csv").write_text(f"regulator_id,line_id,mode,forward\nR2,{head['element_id']},BIDIRECTIONAL,{forward}\n")
    head["phase_pickup_a"] = "60"
    with open(network / "switches.csv", "w") as file:
        writer = csv.DictWriter(file, [*switches[0], "phase_pickup_a"] if "phase_pickup_a" not in switches[0] else list(switches[0]), restval="")
        writer.writeheader()
        writer.writerows(switches)
    recloser = f"RC-{head['switch_id']}"
    run("network", "import", folder / "grid", "--data-dir", folder / "state")
    service = Service(folder)
    try:
        kinds = {d["id"]: d["kind"] for d in service.get("/v1/devices?feeder=F02&limit=1000")["items"]}
        assert (kinds["RG-R2"], kinds[recloser]) == ("regulator", "recloser")
        start = int(time.time() // 60) * 60 - 2400

        def samples(n):
            # 1.4 MW come back; from minute 10 on the control, which takes the wrong side for the customers', steps up each minute.
            tap = min(12, max(0, (n * 10 - 600) // 60))
            common = {"time": rfc3339(start + n * 10), "active_power_w": -1_400_000 - n % 7, "reactive_power_var": 10_000}
            yield {"device": "FH-F02", "voltage_v": 20_000, **common}
            yield {"device": "RG-R2", "voltage_v": 20_000 + 120 * tap, "tap_position": tap, **common}
            yield {"device": recloser, **common}

        def go(first, last):
            publish(service, "UTIL-SCADA", [sample for n in range(first, last) for sample in samples(n)])
            analysed(service, "F02", start + last * 10)

        go(0, 120)
        wait_for(lambda: {"RPF_REG", "RPF_REC", "REG_RUNAWAY"} <= {r[0] for r in starts(service)}, what="the devices on the line")
        found = {a["detector"]: a for a in service.get("/v1/advisories?state=active&feeder=F02")["items"]}
        # A mode that drives the voltage off makes both urgent: each stands for itself.
        assert (found["RPF_REG"]["severity"], found["RPF_REG"]["cause"], found["RPF_HEAD"]["severity"]) == (1, "der", 1)
        assert "BIDIRECTIONAL" in found["RPF_REG"]["message"] and found["REG_RUNAWAY"]["severity"] == 1
        assert found["REG_RUNAWAY"]["element"] == "RG-R2" and found["REG_RUNAWAY"]["evidence"]["notes"]["tap_position"] >= 3
        # 1.4 MW at 20 kV are 40 A, two thirds of the pickup: part of what is said of the head.
        assert (found["RPF_REC"]["severity"], found["RPF_REC"]["parent"]) == (3, found["RPF_HEAD"]["id"])
        def line():
            return sorted(r for r in starts(service) if r[0] in ("RPF_REG", "RPF_REC", "REG_RUNAWAY", "RPF_HEAD"))

        before = line()
        # Its taps are known from the store only after a restart: nothing is said twice, nothing ends.
        service.stop()
        service.start()
        go(120, 180)
        assert line() == before
        assert {a["detector"] for a in service.get("/v1/advisories?state=active&feeder=F02")["items"]} >= {"RPF_REG", "RPF_REC", "REG_RUNAWAY"}
    finally:
        service.stop()
    # The benchmark's four low-voltage grids have more rated than their transformers.
    named = run("network", "check", folder / "grid", "--data-dir", folder / "none").stdout
    assert "XFMR_DER_OVERSIZE: LV3.202 has 438 kW of DER behind MV2.101-LV3.202-Trafo of 400 kVA" in named
    assert named.count("XFMR_DER_OVERSIZE") == 4


def test_a_bank_whose_der_outrun_its_least_load_is_reported(service):
    # Four months of every feeder, 600 kW at noon: 6.6 MW, and the network has more DER than that.
    service.sql(
        "INSERT INTO backfeed_store.feeder_profile_15m (time, net_w, native_w, pv_w, battery_w, ev_charger_w, other_der_w, reverse_wh, forward_wh, head_coverage, der_coverage, area_id, feeder, normal_feeder) "
        "SELECT t, 0, 600e3 + 1e3 * extract(doy FROM t), 0, 0, 0, 0, 0, 0, 1, 1, 1, f, f FROM generate_series(date_trunc('day', now()) - interval '120 days', now(), interval '15 minutes') AS t, "
        "unnest(ARRAY[" + ", ".join(f"'{f}'" for f in FEEDERS) + "]) AS f")
    service.stop()
    service.start()
    found = wait_for(lambda: next((a for a in service.get("/v1/advisories?state=active")["items"] if a["detector"] == "GLR_STATIC"), None), what="the bank's year")
    assert (found["kind"], found["severity"], found["element"]) == ("generation_load_ratio", 3, f"{found['feeder']}/static")
    notes = found["evidence"]["notes"]
    rated = sum(float(d["rated_kw"]) for d in csv.DictReader(open(DATA / "network" / "ders.csv")) if d["kind"] != "ev_charger")
    assert notes["generation_w"] == pytest.approx(rated * 1e3, rel=0.05) and found["peak"]["value"] == pytest.approx(notes["generation_w"] / notes["minimum_daytime_load_w"])
    service.stop()
    service.start()
    time.sleep(3)
    assert [a["id"] for a in service.get("/v1/advisories?state=active")["items"] if a["detector"] == "GLR_STATIC"] == [found["id"]]


def test_a_bank_whose_transformers_carry_what_no_head_shows_is_reported(service):
    start = int(time.time() // 60) * 60 - 3000
    rows = list(csv.DictReader(open(DATA / "network/ders.csv")))
    at_busbar = [row["der_id"] for row in rows if row["node_id"].startswith("MV2.101_busbar")]
    assert len(at_busbar) == 3
    samples = []
    for feeder in FEEDERS:
        # From the tenth minute on 3 MW go past this head.
        samples += heads(feeder, start, [2e6 - (3e6 if feeder == "F05" and n >= 120 else 0) + n % 7 * 1000 for n in range(600)])
    for n in range(50):
        samples += [{"device": device, "time": rfc3339(start + n * 60), "active_power_w": 500_000 + n % 5 * 100} for device in at_busbar]
    for n in range(150):
        samples += [{"device": f"TM-HV1-MV2.101-Trafo{unit}", "time": rfc3339(start + n * 20), "active_power_w": (11 * 2e6 - 3 * 500_000) / 2 + n % 9 * 500} for unit in (1, 2)]
    publish(service, "UTIL-SCADA", samples)
    for feeder in FEEDERS:
        analysed(service, feeder, start + 3000)
    (found,) = wait_for(lambda: [a for a in service.get("/v1/advisories?state=active")["items"] if a["kind"] == "topology_mismatch"], what="the bank's advisory")
    assert (found["element"], found["feeder"], found["detector"], found["severity"]) == ("SUB1/balance", "SUB1", "DQ_TOPO", 2)
    assert found["evidence"]["notes"]["transformers_w"] - found["evidence"]["notes"]["feeders_w"] == pytest.approx(3e6, rel=0.02)
    # 600 s without a fault, and a quarter hour with it.
    assert [found[name][:19] for name in ("onset", "raised_at")] == [rfc3339(start + seconds)[:19] for seconds in (600, 1500)]
    assert service.sql("SELECT count(*) FROM backfeed_store.rejected_sample") == "0"
