"""What feeders are expected to do: from the usual load that was learned, through advisory, API, command, SQL and console."""
import json
import time

from conftest import DATA, Publisher, Service, rfc3339, run, wait_for
from test_service import heads
from test_detection import analysed, publish

FEEDER = "F10"


def teach(service, rating, turn):
    """Two weeks of runs that had come true: half of the rating in the two hours until `turn`, nothing from then on."""
    zeros = "ARRAY[0,0,0,0]::real[]"
    load = lambda minutes: f"CASE WHEN (extract(epoch FROM t)::int + {60 * minutes}) % 86400 BETWEEN {turn % 86400 - 7200} AND {turn % 86400 - 1} THEN {0.5 * rating} ELSE 0 END"
    expected = f"ARRAY[{', '.join(load(minutes) for minutes in (15, 30, 45, 60))}]::real[]"
    service.sql(
        "INSERT INTO backfeed_store.forecast (made_at, net_w, native_w, pv_w, pv_rating_w, other_w, clearness, is_switched, load_w, model_w, p05_w, p20_w, p50_w, p80_w, p95_w, "
        "pv_forecast_w, reverse_probability, overload_probability, emergency_probability, is_persistence, sky, area_id, feeder) "
        f"SELECT t, {load(0)}, {load(0)}, 0, 0, 0, 1, false, {', '.join([expected] * 7)}, {', '.join([zeros] * 4)}, ARRAY[false,false,false,false], ARRAY[3,3,3,3]::int2[], 1, '{FEEDER}' "
        f"FROM generate_series(to_timestamp({turn - 15 * 86400}), to_timestamp({turn - 86400}), interval '15 minutes') AS t")


def test_reverse_power_is_expected_then_there(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    service = Service(folder, settings=("reverse.permitted=true",))
    rating = next(f["rating_va"] for f in service.get("/v1/feeders")["items"] if f["id"] == FEEDER)
    wind = [d["id"] for d in service.get(f"/v1/devices?feeder={FEEDER}")["items"] if d["kind"] not in ("feeder_head", "voltage_meter")]
    assert wind
    # A turn that is not near midnight, so that the two hours before are of the same day.
    now = int(time.time() // 900) * 900
    start = now - 5400
    turn = start + 3600 if 10800 < (start + 3600) % 86400 else start + 3600 - 10800
    start = turn - 3600
    assert service.sql("SELECT count(*) FROM backfeed.forecast") == "0"

    def go(first, last, share):
        samples = heads(FEEDER, first, [share * rating + (n % 7) * 100 for n in range(0, (last - first) // 5)])
        # One publisher: the head's clock must not run ahead of the DER. What flows back, the wind gives: by night nothing else could.
        publish(service, "UTIL-SCADA", samples + [{"device": device, "time": rfc3339(first + 60 * n), "active_power_w": max(0, -share * rating) / len(wind) + float(n % 3)} for device in wind for n in range((last - first) // 60)])
        analysed(service, FEEDER, last)

    go(start, start + 1200, 0.1)
    # The past is learned at a start.
    teach(service, rating, turn)
    service.stop()
    service.start()
    go(start + 1200, turn - 900, 0.1)
    path = f"/v1/advisories?feeder={FEEDER}"
    wait_for(lambda: [a for a in service.get(path)["items"] if a["detector"] == "FC_RPF"], what="the forecast's advisory")
    (expected,) = [a for a in service.get(path)["items"] if a["detector"] == "FC_RPF"]
    assert (expected["kind"], expected["severity"], expected["confidence"]) == ("reverse_power_forecast", 4, "low")
    assert expected["evidence"]["notes"]["probability"] >= 0.6 and "will probably feed back by" in expected["message"]
    made = service.get(f"/v1/feeders/{FEEDER}/forecast")
    assert [h["ahead_min"] for h in made["horizons"]] == [15, 30, 45, 60] and made["horizons"][0]["method"] == "profile"
    assert made["horizons"][3]["p50_w"] < -0.2 * rating and made["horizons"][3]["reverse_probability"] > 0.9
    assert all(h["p05_w"] <= h["p20_w"] <= h["p50_w"] <= h["p80_w"] <= h["p95_w"] for h in made["horizons"])

    # Restarted, it goes on: the same run, and the next ones with what was learned.
    service.stop()
    service.start()
    assert service.get(f"/v1/feeders/{FEEDER}/forecast") == made
    go(turn - 900, turn - 600, -0.3)
    wait_for(lambda: [a for a in service.get(path)["items"] if a["detector"] == "RPF_HEAD"], what="reverse power")
    items = {a["detector"]: a for a in service.get(path)["items"]}
    # What was expected is part of what is there, and over a quarter of an hour later: nobody is asked twice.
    history = service.sql(f"SELECT note FROM backfeed_store.advisory_event WHERE advisory_id = '{expected['id']}'").splitlines()
    assert f"part of {items['RPF_HEAD']['id']}" in history
    go(turn - 600, turn + 1200, -0.3)
    wait_for(lambda: service.get(f"/v1/advisories/{expected['id']}")["cleared_at"], what="the forecast to be over")
    assert len([a for a in service.get(path)["items"] if a["detector"] == "FC_RPF"]) <= 1

    text = run("forecast", FEEDER, "--data-dir", folder / "state").stdout
    assert "P(reverse)" in text and "clearness" in text
    same = json.loads(run("forecast", FEEDER, "--format", "json", "--data-dir", folder / "state").stdout)
    assert same == service.get(f"/v1/feeders/{FEEDER}/forecast")
    skill = service.get(f"/v1/feeders/{FEEDER}/forecast-skill?from={rfc3339(start)}&until={rfc3339(turn + 3600)}")
    quarter = {h["ahead_min"]: h for h in skill["weeks"][-1]["horizons"]}
    assert quarter[15]["runs"] >= 10 and quarter[15]["reversed"] >= 3
    assert skill["weeks"][-1]["foreseen"] == skill["weeks"][-1]["onsets"] == 1 and skill["weeks"][-1]["mean_lead_min"] >= 15
    assert "onsets of reverse power foreseen" in run("forecast", FEEDER, "--skill", "--data-dir", folder / "state").stdout
    # The view is the same to an engineer.
    rows = service.sql(f"SELECT count(*), count(DISTINCT made_at) FROM backfeed.forecast WHERE feeder = '{FEEDER}' AND made_at > to_timestamp({start})").split("|")
    assert int(rows[0]) == 4 * int(rows[1])
    service.stop()
    # The time since it had learned, again from the store: nothing is new, gone or moved.
    report = json.loads(run("backtest", "--from", rfc3339(start + 1200), "--until", rfc3339(turn + 900), "--set", "reverse.permitted=true", "--format", "json", "--data-dir", folder / "state").stdout)
    forecasts = [d for d in report["result"]["differences"] if "forecast" in d["kind"]]
    assert not forecasts, json.dumps(forecasts)


def test_what_has_no_forecast_says_so(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    service = Service(folder)
    assert service.send("GET", "/v1/feeders/F99/forecast", None)[0] == 404
    none = service.get("/v1/feeders/F01/forecast")
    assert none["horizons"] == [] and "there is no forecast" in none["reason"]
    assert service.send("GET", "/v1/feeders/F01/forecast-skill", None)[0] == 404
    assert "has no forecast" in run("forecast", "F01", "--data-dir", folder / "state", expect=1).stderr
    assert "go with --skill" in run("forecast", "F01", "--from", "2026-01-01T00:00:00Z", "--data-dir", folder / "state", expect=2).stderr
    service.stop()
