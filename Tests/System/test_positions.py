"""Where a switch stands: one record, by one rule, for console, API, picture and validator, whatever happens in between."""
import datetime
import json
import random
import signal
import time

import pytest

from conftest import Publisher, Service, free_port, rfc3339, run, wait_for

TIE, HEAD = "MV2.101_loop_line_switch_5.2", "MV2.101_Switch_139"
PLAN = {"id": "P", "purpose": "parallel", "kind": "LOAD_TRANSFER", "author": "kim", "hold_hours": 1,
        "policy": {"allow_transient_loop": True, "allow_transient_outage": True},
        "steps": [{"sequence": 1, "action": "open", "element": HEAD}]}


def state(service, switch, position, expect=200, **more):
    status, answer = service.send("PUT", f"/v1/network/switches/{switch}", {"position": position, "actor": "ann", "reason": "read on site", **more})
    assert status == expect, answer
    return answer


def shown(service, switch=TIE):
    return service.get(f"/v1/devices/{switch}")["switch_position"]


def recorded(service, switch=TIE):
    """Position by the record that verdicts read; null while it is contradicted."""
    text = service.sql(f"SELECT record FROM backfeed_store.switch_state WHERE switch = '{switch}'")
    return json.loads(text) if text else None


def doubts(service, plan=PLAN):
    verdict = service.send("POST", "/v1/switching/validate", plan)[1]
    return [f for f in verdict["findings"] if f["check"] == "T1"]


def tell(publisher, switch, position, at=None, **more):
    publisher.samples({"device": switch, "time": rfc3339(time.time() if at is None else at), "switch_position": position, **more})


def stored(service):
    return int(service.sql("SELECT count(*) FROM backfeed_store.sample"))


def told(service, publisher, switch, position, at=None, **more):
    before = stored(service)
    tell(publisher, switch, position, at, **more)
    wait_for(lambda: stored(service) == before + 1, what="the sample to be stored")


def test_a_statement_counts_from_now_also_just_behind_telemetry(service):
    publisher = Publisher(service, "SCADA")
    told(service, publisher, TIE, "closed")
    answer = state(service, TIE, "open")
    assert answer["switch_position"] == "open" and "has not followed yet" in answer["switch_record"]["doubt"]
    assert recorded(service)["statement"]["time"] >= recorded(service)["telemetry"]["time"]
    # Telemetry heard a moment ago says otherwise: nothing is approved on either.
    assert doubts(service) and doubts(service)[0]["elements"] == [TIE]
    told(service, publisher, TIE, "open")
    assert shown(service) == "open" and not doubts(service)


def test_telemetry_that_goes_on_contradicting_is_an_advisory_and_unknown_until_somebody_gives_way(service):
    publisher = Publisher(service, "SCADA")
    state(service, TIE, "open")
    told(service, publisher, TIE, "closed")
    wait_for(lambda: shown(service) == "unknown", what="a contradicted position")
    assert "one of them is wrong" in doubts(service)[0]["message"]

    def advisory(active):
        return [a for a in service.get("/v1/advisories")["items"] if a["element"] == TIE and a["is_active"] == active]
    found = wait_for(lambda: advisory(True), what="its advisory")
    assert found[0]["kind"] == "topology_mismatch" and "ann stated open" in found[0]["message"] and "telemetry says closed" in found[0]["message"]
    # A restart forgets none of it, and says nothing twice.
    service.stop()
    service.start()
    assert shown(service) == "unknown" and len(advisory(True)) == 1
    state(service, TIE, "closed")
    wait_for(lambda: not advisory(True), what="the end of the advisory")
    assert shown(service) == "closed" and not doubts(service)


@pytest.mark.parametrize("quality", ["INVALID", "TEST", "OLD", "FROZEN", "CLOCK_SUSPECT", "OUT_OF_RANGE", "SIGN_SUSPECT", "INCONSISTENT"])
def test_a_position_of_bad_quality_moves_nothing(day, quality):
    service, publisher = day
    before = shown(service), recorded(service)
    told(service, publisher, TIE, "closed" if before[0] == "open" else "open", quality=[quality])
    assert (shown(service), recorded(service)) == before


def test_late_and_early_positions_move_nothing_that_is_newer(day):
    service, publisher = day
    now = time.time()
    told(service, publisher, HEAD, "closed", now - 1)
    told(service, publisher, HEAD, "open", now - 3600)
    assert shown(service, HEAD) == "closed"
    # Twenty hours ahead: stored as suspect, and it keeps no later one out.
    told(service, publisher, HEAD, "open", now + 72_000)
    assert shown(service, HEAD) == "closed"
    told(service, publisher, HEAD, "intermediate")
    wait_for(lambda: shown(service, HEAD) == "intermediate", what="a later position")
    # History knows what came late: open for the hour before.
    assert service.sql(f"SELECT string_agg(position, ',' ORDER BY time) FROM backfeed_store.switch_position WHERE switch = '{HEAD}'") == "open,closed,intermediate"


def test_a_statement_of_the_future_or_of_long_ago_is_refused_by_name(day):
    service, _ = day
    other = "MV2.101_Switch_140"
    assert "ahead of the clock" in state(service, other, "open", 400, time=rfc3339(time.time() + 365 * 86_400))["detail"]
    assert "validator.statement_age_h" in state(service, other, "open", 400, time="1970-01-01T00:00:00Z")["detail"]
    state(service, other, "open", time=rfc3339(time.time() - 60))
    assert "which is newer" in state(service, other, "closed", 409, time=rfc3339(time.time() - 120))["detail"]
    assert shown(service, other) == "open"


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    import os
    import shutil
    import tempfile
    folder = tempfile.mkdtemp(prefix="bf-", dir="/tmp")
    os.chmod(folder, 0o755)
    run("network", "import", "data/semiurb", "--data-dir", f"{folder}/state")
    service = Service(folder)
    yield service, Publisher(service, "SCADA")
    service.stop()
    shutil.rmtree(folder, ignore_errors=True)


class Model:
    """The rule in a few lines, kept apart from the product: everything that was said, newest first."""

    def __init__(self):
        self.telemetry, self.statement, self.agreed = None, None, False

    def hear(self, time_, position):
        if self.telemetry and time_ < self.telemetry[0]:
            return
        self.telemetry = (time_, position)
        if self.statement and self.statement[1] == position:
            self.agreed = True

    def state(self, time_, position):
        newest = max((s[0] for s in (self.telemetry, self.statement) if s), default=time_)
        self.statement = (max(time_, newest), position)
        self.agreed = bool(self.telemetry) and self.telemetry[1] == position

    @property
    def judged(self):
        if not self.telemetry or (self.statement and self.statement[0] >= self.telemetry[0]):
            return self.statement[1] if self.statement else None
        if self.statement and not self.agreed and self.statement[1] != self.telemetry[1]:
            return "unknown"
        return self.telemetry[1]


@pytest.mark.parametrize("seed", range(2))
def test_random_interleavings_with_kills_leave_the_record_that_the_model_has(folder, seed):
    """Good, bad, late, early, repeated and lost positions and people's entries, with kills between: console and record agree with an
    independent model at each stop, and no verdict rests on a position that the record does not justify."""
    draw = random.Random(seed)
    run("network", "import", "data/semiurb", "--data-dir", folder / "state")
    service = Service(folder, settings=(f"telemetry.bind=tcp://127.0.0.1:{free_port()}",))
    switches = {TIE: Model(), HEAD: Model(), "MV2.101_Switch_140": Model()}
    try:
        publisher = Publisher(service, "SCADA")
        for turn in range(4):
            count = stored(service)
            for _ in range(12):
                switch, position = draw.choice(list(switches)), draw.choice(["open", "closed"])
                model = switches[switch]
                kind = draw.choice(["good", "good", "late", "bad", "early", "twice", "state", "state"])
                now = round(time.time(), 3)
                if kind == "state":
                    wait_for(lambda: stored(service) == count, what="what was sent before")
                    answer = state(service, switch, position)
                    model.state(datetime.datetime.fromisoformat(answer["switch_record"]["statement"]["time"]).timestamp(), position)
                    assert answer["switch_position"] == model.judged
                    continue
                at = now - draw.uniform(60, 3600) if kind == "late" else now + 7200 if kind == "early" else now
                at = round(at, 3)
                tell(publisher, switch, position, at, **({"quality": ["INVALID"]} if kind == "bad" else {}))
                if kind == "twice":
                    publisher.send({"samples": [{"device": switch, "time": rfc3339(at), "switch_position": position}]}, sequence=publisher.sequence)
                count += 1
                if kind in ("good", "late", "twice"):
                    model.hear(float(f"{at:.3f}"), position)
                # A message after which nothing was committed yet may be lost with a kill: it is told again, as a journal does.
                wait_for(lambda: stored(service) == count, what="the sample to be stored")
            if draw.random() < 0.7:
                service.stop(signal.SIGKILL)
                service.start()
                publisher = Publisher(service, "SCADA")
                publisher.epoch += 1
            for switch, model in switches.items():
                if model.judged is None:
                    continue
                assert wait_for(lambda: shown(service, switch) == model.judged, what=f"{switch} {model.judged}")
                record = recorded(service, switch)
                assert [record[k]["position"] if k in record else None for k in ("telemetry", "statement")] == [
                    s[1] if s else None for s in (model.telemetry, model.statement)]
            unknown = {s for s, m in switches.items() if m.judged == "unknown"}
            assert unknown <= {e for f in doubts(service) for e in f["elements"]}
    finally:
        service.stop()
