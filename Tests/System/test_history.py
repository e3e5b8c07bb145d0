"""What is analysed again is analysed with the network of its time; what is not to be used is named, and used for nothing."""
import csv
import shutil
import time

from conftest import DATA, Publisher, Service, rfc3339, run, wait_for
from test_service import batches, heads

MW = 1_000_000


def quarter(service, feeder, at):
    row = service.sql(f"SELECT pv_w, net_w, native_w, der_coverage FROM backfeed.feeder_profile_15m WHERE feeder = '{feeder}' AND normal_feeder = '{feeder}' AND time = '{rfc3339(at)}'")
    return [float(value) for value in row.split("|")] if row else None


def test_a_der_that_an_import_moves_keeps_its_past_at_its_old_feeder(folder):
    grid = folder / "grid"
    shutil.copytree(DATA / "network", grid / "network")
    run("network", "import", grid, "--data-dir", folder / "state")
    service = Service(folder, settings=("profile.amend_after_s=1", "data_gap.per_device=false"))
    try:
        def pv(feeder):
            return service.sql(f"SELECT name FROM backfeed_store.device WHERE kind = 'pv' AND normal_feeder = '{feeder}' ORDER BY rating_w DESC, name LIMIT 3").splitlines()

        (moved, removed, stays), (other, *_) = pv("F01"), pv("F02")
        start = int(time.time() // 900) * 900 - 1800
        # One publisher, in order of time: nothing of this is late.
        publisher = Publisher(service, "AGG")
        count = int(time.time() - start) // 60
        samples = [sample for feeder in ("F01", "F02") for sample in heads(feeder, start, [MW] * (count * 12))]
        for minute in range(count):
            at = start + 60 * minute
            samples += [{"device": d, "time": rfc3339(at), "active_power_w": w} for d, w in ((moved, 9000), (removed, 5000), (stays, 3000), (other, 2000))]
        for part in batches(sorted(samples, key=lambda s: s["time"])):
            publisher.samples(*part)
        places = [("F01", start), ("F02", start)]
        last = start + 60 * (count - 1)
        wait_for(lambda: float(service.sql("SELECT extract(epoch FROM min(minute)) FROM backfeed_store.analyser_position WHERE name IN ('F01', 'F02')") or 0) >= last - 240, what="the analysis")
        wait_for(lambda: all(quarter(service, *place) for place in places), what="the first quarter")
        before = {place: quarter(service, *place) for place in places}
        assert service.metric("backfeed_samples_late_total") == 0
        assert before[("F01", start)][0] > before[("F02", start)][0] > 0
        service.stop()

        # One is moved to the other feeder, one is gone.
        rows = list(csv.DictReader(open(grid / "network/ders.csv")))
        target = next(row for row in rows if row["der_id"] == other)
        with open(grid / "network/ders.csv", "w") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            for row in rows:
                if row["der_id"] == moved:
                    row |= {key: target[key] for key in ("node_id", "origin_node", "feeder_id", "lv_area_id")}
                if row["der_id"] != removed:
                    writer.writerow(row)
        run("network", "import", grid, "--data-dir", folder / "state")
        service.start()
        assert service.sql(f"SELECT normal_feeder FROM backfeed_store.device WHERE name = '{moved}'") == "F02"
        assert service.sql("SELECT count(*) FROM backfeed_store.network_revision WHERE in_force_from > now() - interval '10 minutes'") == "1"

        # One sample of before comes late, of each kind of device that is still there.
        publisher = Publisher(service, "AGG")
        publisher.samples(*({"device": d, "time": rfc3339(start + 330), "active_power_w": w} for d, w in ((moved, 9000), (stays, 3000))))
        wait_for(lambda: service.metric("backfeed_samples_late_total") >= 2, what="the late samples")
        wait_for(lambda: service.sql("SELECT count(*) FROM backfeed.profile_amendment") == "0", what="the quarter made again")
        for place, row in before.items():
            assert quarter(service, *place) == row, place
        shown = run("backtest", "--from", rfc3339(start + 300), "--until", rfc3339(start + 900), "--data-dir", folder / "state").stdout
        assert "new 0, gone 0, moved 0" in shown, shown
    finally:
        service.stop()


def test_what_is_wrong_from_its_first_sample_on_is_named_and_a_silent_head_in_time(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    service = Service(folder, settings=("data_gap.head_s=3",))
    try:
        low = service.sql("SELECT name FROM backfeed_store.device WHERE kind = 'voltage_meter' AND normal_feeder = 'F01' AND voltage_base_v < 1000 ORDER BY name LIMIT 4").splitlines()
        # Of the first feeder: the low-voltage grid is there.
        high = service.sql("SELECT name FROM backfeed_store.device WHERE kind = 'voltage_meter' AND normal_feeder = 'F01' AND voltage_base_v > 1000 ORDER BY name LIMIT 1")
        plants = service.sql("SELECT name FROM backfeed_store.device WHERE kind = 'pv' AND normal_feeder = 'F01' AND voltage_base_v < 1000 ORDER BY name LIMIT 3").splitlines()
        start = int(time.time() // 60) * 60 - 1320
        wrong = {
            low[0]: {"voltage_v": 231_000},                            # mV
            low[1]: {"voltage_v": 0.231},                              # kV
            low[2]: {"voltage_v": [230.1, -3276.8, -3276.8]},          # phases that are not there
            low[3]: {"voltage_v": 230.5, "frequency_hz": 50_010},      # mHz
            high: {"voltage_v": 20.4},                                 # kV
            plants[0]: {"active_power_w": 900, "state_of_charge_pct": 4000},
        }
        unusable = {plants[1]: {"active_power_w": 1000, "quality": ["INVALID"]}}
        powerless = {plants[2]: {"active_power_w": [-700, None, None], "voltage_v": [231, None, None]}}
        samples = []
        for minute in range(22):
            at = start + 60 * minute
            samples += [{"device": device, "time": rfc3339(at), **values} for device, values in (wrong | unusable | powerless).items()]
            # A head cannot carry three thousand times its rating.
            samples += [{"device": "FH-F03", "time": rfc3339(at + n), "active_power_w": 30_000 * MW} for n in range(0, 60, 20)]
        samples += heads("F01", start, [2 * MW + n % 7 for n in range(264)])
        scada = Publisher(service, "UTIL-SCADA")
        for part in batches(sorted(samples, key=lambda s: s["time"])):
            scada.samples(*part)
        # Once a second until now, then nothing.
        now = time.time()
        scada.samples(*heads("F04", int(now) - 60, [MW + n % 7 for n in range(60)], step=1))

        def found(detector, element):
            return next((a for a in service.get("/v1/advisories?state=active&limit=1000")["items"] if (a["detector"], a["element"]) == (detector, element)), None)

        ranges = wait_for(lambda: (a := found("DQ_RANGE", "F01/range")) and len(a["contributors"]) == len(wrong) and a, what="what cannot be")
        assert {c["device"] for c in ranges["contributors"]} == set(wrong)
        invalid = wait_for(lambda: found("DQ_INVALID", "F01/unusable"), what="what is not to be used")
        assert [c["device"] for c in invalid["contributors"]] == list(unusable) and "INVALID" in invalid["message"]
        gap = wait_for(lambda: found("DQ_GAP", plants[2]), what="the plant without power")
        assert "never sent an active power" in gap["message"]
        head = wait_for(lambda: found("DQ_RANGE", "F03/range"), what="the head that cannot be")
        assert [c["device"] for c in head["contributors"]] == ["FH-F03"]
        silent = wait_for(lambda: found("DQ_GAP", "FH-F04"), what="the silent head")
        assert "silent since" in silent["message"] and silent["raised_at"] <= rfc3339(now + 20)
        kinds = set(service.sql("SELECT DISTINCT kind FROM backfeed_store.advisory").splitlines())
        assert not kinds & {"voltage_high", "voltage_low", "voltage_rise", "voltage_extreme", "reverse_power", "voltage_step"}, kinds
    finally:
        service.stop()
