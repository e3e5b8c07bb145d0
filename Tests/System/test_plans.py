"""Kept plans: approved by somebody else, void by themselves, executed step by step, and every step recorded."""
import contextlib
import datetime
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest
import zmq
from conftest import ROOT, Publisher, Service, run, wait_for
from test_switching import found

# Network N1 of the rules: two feeders, A1 and B1, and a tie T between them; part A1b goes over from A to B.
NETWORK = pathlib.Path(ROOT) / "Tests/SwitchingTests/Cases/n1"
OPEN, CLOSE, LINE = "R-A", "T", "A1b"
PLAN = {"id": "T06", "kind": "LOAD_TRANSFER", "author": "kim", "hold_hours": 1, "policy": {"allow_transient_outage": True}, "steps": [
    {"sequence": 1, "action": "open", "element": OPEN}, {"sequence": 2, "action": "close", "element": CLOSE}]}


class Heads(threading.Thread):
    """SCADA and aggregator in one: heads and PV of the rules' midday, once a second, until stopped."""

    def __init__(self, service):
        super().__init__(daemon=True)
        self.service, self.ended, self.voltage = service, threading.Event(), {}
        self.power = {"FH-A1": 3_500_000.0, "FH-B1": 4_000_000.0, "PV-A1a": 500e3, "PV-A1b": 1500e3, "PV-B1b": 200e3, "PV-B1a": 300e3}
        self.start()

    def run(self):
        publisher = Publisher(self.service, "UTIL-SCADA")
        while not self.ended.wait(1):
            now = int(time.time() * 1e6)
            publisher.samples(*[
                {"device": device, "time": now, "active_power_w": power, **({"voltage_v": self.voltage[device]} if device in self.voltage else {})}
                for device, power in self.power.items()])
        publisher.close()


@pytest.fixture
def room(folder):
    run("network", "import", NETWORK, "--data-dir", folder / "state")
    with control_room(folder) as service:
        yield service


@contextlib.contextmanager
def control_room(folder, *settings):
    """Fresh heads, a register that is declared complete."""
    service = Service(folder, settings=("validator.analyser_age_s=90", "validator.light_load_pct=100", "ramp.scale=100", *settings))
    service.heads = Heads(service)
    service.post = lambda path, expect=200, **body: check(service.send("POST", path, body), expect)
    service.post("/v1/safety/declare", actor="ann", reason="register copied from the log book")
    wait_for(lambda: not found(judge(service), "X2", "UNKNOWN"), what="fresh heads")
    try:
        yield service
    finally:
        service.heads.ended.set()
        service.stop()


def check(answer, expect):
    status, body = answer
    assert status == expect, body
    return body


def judge(service, plan=PLAN):
    return check(service.send("POST", "/v1/switching/validate", plan), 200)


def keep(service, plan=PLAN):
    return check(service.send("POST", "/v1/switching/plans", plan), 201)


def plan(service, name="T06"):
    return service.get(f"/v1/switching/plans/{name}")


def approved(service, name="T06", by="lee"):
    verdict = service.post(f"/v1/switching/plans/{name}/validate", actor="kim")
    assert verdict["verdict"]["verdict"] in ("APPROVE", "APPROVE_WITH_CONDITIONS"), verdict["verdict"]["findings"][:4]
    made = service.post(f"/v1/switching/plans/{name}/approve", actor=by, verdict=verdict["verdict_id"])
    assert made["state"] in ("approved", "executing")
    return made


def issue(service, name, step):
    """The answer, once the heads have been measured after the step before."""
    def ask():
        answer = service.send("POST", f"/v1/switching/plans/{name}/steps/{step}/issue", {"actor": "kim"})
        return (answer[0] == 200 or "measured since" not in answer[1]["detail"]) and answer
    return wait_for(ask, what="heads measured since")


def voided(service, state="recheck", within=2.0):
    """Waits until the approval is void; asserts that it took less than two seconds."""
    def now():
        try:
            return (p := plan(service))["state"] == state and p
        except OSError:  # while the service starts its parts again
            return None
    started = time.monotonic()
    void = wait_for(now, 10, every=0.05, what=state)
    assert time.monotonic() - started < within
    return void["reason"]


def test_a_plan_is_approved_by_another_person_and_executed_step_by_step(room):
    keep(room)
    assert "PUT makes a new version" in check(room.send("POST", "/v1/switching/plans", PLAN), 409)["detail"]
    path = "/v1/switching/plans/T06"
    assert "not approved" in room.post(f"{path}/steps/1/issue", 409, actor="kim")["detail"]
    first = room.post(f"{path}/validate", actor="kim")
    assert first["state"] == "draft"
    # X4: not by its author, however they spell their name; not on a verdict that was not seen.
    assert "X4" in room.post(f"{path}/approve", 409, actor="Kim", verdict=first["verdict_id"])["detail"]
    second = room.post(f"{path}/validate", actor="kim")
    assert "is newer than" in room.post(f"{path}/approve", 409, actor="lee", verdict=first["verdict_id"])["detail"]
    # Between the two steps a part is dead: no place to rest.
    assert [state["safe_to_stop"] for state in second["verdict"]["steps"]] == [True, False, True]
    made = room.post(f"{path}/approve", actor="lee", verdict=second["verdict_id"])
    assert made["state"] == "approved" and made["approved_by"] == "lee" and made["valid_until"]
    assert "approved already" in room.post(f"{path}/approve", 409, actor="lee", verdict=made["verdict_id"])["detail"]

    # Its devices and feeders are taken: D28.
    other = judge(room, {**PLAN, "id": "O-88", "author": "pat"})
    assert found(other, "X3", "BLOCK_SOFT") and other["verdict"] == "REJECT"

    # A step waits for what must be done first, and for its turn.
    assert "step 1 comes first" in room.post(f"{path}/steps/2/issue", 409, actor="kim")["detail"]
    for number in (1, 2):
        for condition in plan(room)["conditions"]:
            if condition["kind"] == "PRE" and not condition.get("met") and (condition.get("step") or 0) <= number:
                # Heads are measured again after the step before.
                wait_for(lambda: "to be met first" in room.post(f"{path}/steps/{number}/issue", 409, actor="kim")["detail"],
                         what="heads and a condition")
                room.post(f"{path}/conditions", actor="kim", key=condition["key"], evidence="done and measured")
        issued = issue(room, "T06", number)
        assert check(issued, 200)["state"] == "executing"
        assert "not confirmed yet" in room.post(f"{path}/steps/{number}/issue", 409, actor="kim")["detail"]
        if number == 1:
            # SCADA tells of the movement before the crew does: that is no change outside the plan.
            room.send("PUT", f"/v1/network/switches/{OPEN}", {"position": "open", "actor": "scada"})
            room.heads.power.update({"PV-A1b": 0, "FH-A1": 2_500_000.0})
            time.sleep(1.5)
            assert plan(room)["state"] == "executing", plan(room)["reason"]
        room.post(f"{path}/steps/{number}/executed", actor="kim", note="read back")
        assert "done already" in room.post(f"{path}/steps/{number}/executed", 409, actor="kim")["detail"]
    done = plan(room)
    assert done["state"] == "completed" and [s["executed_by"] for s in done["execution"]] == ["kim", "kim"]
    assert room.get(f"/v1/devices/{OPEN}")["switch_position"] == "open"
    network = room.get("/v1/network")
    assert network["loops"] == 0 and network["de_energised_nodes"] == 0
    assert "is completed" in check(room.send("PUT", path, PLAN), 409)["detail"]

    # All of it stands in the log, and the log is whole.
    actions = [record["action"] for record in room.get("/v1/audit?subject=T06")["items"]]
    assert [a for a in actions if a in ("plan.kept", "plan.approved", "step.issued", "step.executed", "plan.completed")] == [
        "plan.kept", "plan.approved", "step.issued", "step.executed", "step.issued", "step.executed", "plan.completed"]
    assert {"plan.approve.refused", "plan.issue.refused", "plan.validated", "plan.judged"} <= set(actions) | {"plan.judged"}
    assert "intact" in run("verify-log", "--data-dir", room.folder / "state").stdout
    # The view of engineers has it, too.
    assert room.sql("SELECT state FROM backfeed.switching_plan") == "completed"
    # Two steps, and the one that was refused for want of a condition (R5 of step 2).
    assert int(room.sql("SELECT count(*) FROM backfeed.switching_verdict WHERE occasion = 'issue'")) == 3


def after(kept):
    return [condition for condition in kept["conditions"] if condition["kind"] == "POST"]


def test_poles_are_operated_one_by_one(folder):
    """Until all have moved the switch is neither open nor closed, for everybody but the plan that moves them."""
    shutil.copytree(NETWORK / "network", folder / "poles/network")
    for file in (NETWORK.parent / "D18-blocked/network").iterdir():
        shutil.copy(file, folder / "poles/network")
    run("network", "import", folder / "poles", "--data-dir", folder / "state")
    with control_room(folder) as room:
        keep(room, json.loads((NETWORK.parent / "D18-blocked/plan.json").read_text()))
        approved(room, "D18-blocked")
        asked = plan(room, "D18-blocked")["conditions"]
        assert {c["check"] for c in asked} >= {"C4"}
        seen = []
        for step in range(1, 6):
            for condition in plan(room, "D18-blocked")["conditions"]:
                if condition["kind"] == "PRE" and not condition["met"]:
                    room.post("/v1/switching/plans/D18-blocked/conditions", actor="kim", key=condition["key"], evidence="done")
            issued = issue(room, "D18-blocked", step)
            assert issued[0] == 200, (step, issued, plan(room, "D18-blocked").get("reason"))
            room.post(f"/v1/switching/plans/D18-blocked/steps/{step}/executed", actor="kim", note="seen")
            seen.append({s["id"]: s["position"] for s in room.get("/v1/network")["switches"]}["POLE"])
        assert seen == ["closed", "intermediate", "intermediate", "open", "open"]
        assert plan(room, "D18-blocked")["state"] == "completed"


def emergency(room):
    """A plan that is completed and must be reviewed; what was asked of it."""
    keep(room, {"id": "E-1", "kind": "EMERGENCY", "author": "kim", "purpose": "Too much comes back", "steps": [
        {"sequence": 1, "action": "control", "element": "PV-A1b", "value": "limit_kw 1000"}]})
    approved(room, "E-1")
    asked = after(plan(room, "E-1"))
    # It stands against no step.
    room.post("/v1/switching/plans/E-1/steps/1/issue", actor="kim")
    room.post("/v1/switching/plans/E-1/steps/1/executed", actor="kim", note="1 MW read")
    return asked


def test_what_is_due_after_a_plan_has_a_time_once_it_is_done(room):
    asked = emergency(room)
    assert [(c["check"], c["due_hours"], "due_at" in c) for c in asked] == [("X4", 24, False)]
    done = plan(room, "E-1")
    assert done["state"] == "completed"
    due = (stamp(after(done)[0]["due_at"]) - stamp(done["changed_at"])).total_seconds()
    assert due == 24 * 3600
    # Whoever looks at what is open finds it, and when its time is over that is said, once.
    open_ = {"plan": "E-1", "key": asked[0]["key"], "text": asked[0]["remedy"], "due_at": after(done)[0]["due_at"], "overdue": False}
    assert room.get("/v1/switching/due")["items"] == [open_]
    room.sql("UPDATE backfeed_store.switching_due SET due_at = now() - interval '1 second'")
    wait_for(lambda: room.metric("backfeed_plan_conditions_open", state="overdue") == 1)
    assert [item["overdue"] for item in room.get("/v1/switching/due")["items"]] == [True]
    assert room.sql("SELECT plan FROM backfeed.switching_due WHERE overdue") == "E-1"
    time.sleep(6)
    said = [r for r in room.get("/v1/audit?subject=E-1")["items"] if r["action"] == "plan.condition_overdue"]
    assert [record["content"]["key"] for record in said] == [asked[0]["key"]]
    met = room.post("/v1/switching/plans/E-1/conditions", actor="pat", key=asked[0]["key"], evidence="reviewed with lee")
    assert room.get("/v1/switching/due")["items"] == []
    assert after(met)[0]["met"]["met_by"] == "pat" and met["state"] == "completed"
    assert room.get("/v1/audit?subject=E-1")["items"][-1]["action"] == "plan.condition_met"


def stamp(text):
    return datetime.datetime.fromisoformat(text)


def test_an_approval_dies_by_itself_whatever_changes(room):
    keep(room)
    # A switch elsewhere.
    approved(room)
    other = "HV-TIE"
    room.send("PUT", f"/v1/network/switches/{other}", {"position": "unknown", "actor": "kim"})
    assert "a switch has moved" in voided(room)
    assert "void" in room.post("/v1/switching/plans/T06/steps/1/issue", 409, actor="kim")["detail"]
    room.send("PUT", f"/v1/network/switches/{other}", {"position": "closed", "actor": "kim"})
    # One that opens and closes again between two looks, and a tag that is placed and taken off.
    approved(room)
    for position in ("open", "closed"):
        room.send("PUT", f"/v1/network/switches/{other}", {"position": position, "actor": "kim"})
    assert "a switch has moved" in voided(room)
    approved(room)
    tagged = room.post("/v1/safety", 201, kind="tag", element=other, value="HOTLINE", actor="pat", reason="short work")
    room.post(f"/v1/safety/{tagged['items'][-1]['id']}/remove", actor="pat", reason="done")
    assert "tag" in voided(room)
    # A restriction, on a feeder that it concerns: nothing is forbidden, and somebody must agree.
    approved(room)
    refused = check(room.send("POST", "/v1/safety", {"kind": "restriction", "element": "F-99", "value": "fire day", "actor": "pat"}), 400)
    assert "there is no feeder" in refused["detail"]
    check(room.send("POST", "/v1/safety", {"kind": "restriction", "element": "network", "actor": "pat"}), 400)
    posted = room.post("/v1/safety", 201, kind="restriction", element="network", value="fire day", actor="pat", reason="level 4")
    assert "tags, grounds" in voided(room)
    asked = room.post("/v1/switching/plans/T06/validate", actor="kim")
    assert [c["text"] for c in asked["conditions"] if c["check"] == "X7"] == ["In force: fire day."]
    room.post(f"/v1/safety/{posted['items'][-1]['id']}/remove", actor="pat", reason="level 2")
    # A tag; and a device that bears one is not operated.
    approved(room)
    tagged = room.post("/v1/safety", 201, kind="tag", element=CLOSE, value="HOLD", actor="pat", reason="work on site")
    assert "tags, grounds" in voided(room)
    blocked = room.post("/v1/switching/plans/T06/validate", actor="kim")["verdict"]
    assert found(blocked, "S4", "BLOCK_HARD") and blocked["verdict"] == "REJECT"
    key = room.get("/v1/switching/plans/T06")["finding_keys"][0]
    assert "nobody may override" in room.post(
        "/v1/switching/plans/T06/overrides", 409, actor="sue", key=key, role="supervisor", reason="urgent", expires_at="2100-01-01T00:00:00Z")["detail"]
    room.post(f"/v1/safety/{tagged['items'][0]['id']}/remove", actor="pat", reason="work done")
    # The load of a head, by more than a tenth of its rating; small changes do nothing.
    approved(room)
    room.heads.power["FH-A1"] += 100_000
    time.sleep(2.5)
    assert plan(room)["state"] == "approved", plan(room)["reason"]
    room.heads.power["FH-A1"] += 1_000_000
    wait_for(lambda: plan(room)["state"] == "recheck", 10, what="recheck")
    assert "A1 carries" in plan(room)["reason"]
    room.heads.power["FH-A1"] -= 1_100_000
    time.sleep(2)
    # A plan that somebody changed in the table behind our back.
    approved(room)
    room.sql("UPDATE backfeed_store.switching_plan SET document = replace(document, '\"open\"', '\"close\"')")
    assert "not the one that was approved" in voided(room)
    assert "digest differs" in room.post("/v1/switching/plans/T06/validate", 409, actor="kim")["detail"]
    # An edit takes it away, too.
    check(room.send("PUT", "/v1/switching/plans/T06", PLAN), 200)
    approved(room)
    edited = check(room.send("PUT", "/v1/switching/plans/T06", {**PLAN, "purpose": "evening"}), 200)
    assert edited["state"] == "draft" and edited["version"] == 3 and not edited.get("approved_by")
    # Nobody watched: the service was killed. Whoever reads the view meanwhile sees no approval.
    approved(room)
    room.heads.ended.set()
    room.stop(signal.SIGKILL)
    time.sleep(6)
    assert run("verify-log", "--data-dir", room.folder / "state").returncode == 0
    room.start()
    assert "nobody watched" in voided(room, within=10)


def ports(count):
    """Free ones, that stay the same when the service starts its parts again."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    numbers = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return numbers


def test_a_revision_and_other_limits_void_an_approval(folder):
    run("network", "import", NETWORK, "--data-dir", folder / "state")
    http, telemetry = ports(2)
    room = Service(folder, settings=(
        "validator.analyser_age_s=90", "validator.light_load_pct=100", "ramp.scale=100", f"http.listen=127.0.0.1:{http}", f"telemetry.bind=tcp://127.0.0.1:{telemetry}"))
    heads = Heads(room)
    try:
        room.post = lambda path, expect=200, **body: check(room.send("POST", path, body), expect)
        room.post("/v1/safety/declare", actor="ann", reason="register copied from the log book")
        wait_for(lambda: not found(judge(room), "X2", "UNKNOWN"), what="fresh heads")
        revised(room, folder)
    finally:
        heads.ended.set()
        room.stop()


def revised(room, folder):
    keep(room)
    approved(room)
    shutil.copytree(NETWORK / "network", folder / "changed/network")
    lines = folder / "changed/network/lines.csv"
    lines.write_text(lines.read_text().replace("0.30,0.60", "0.31,0.60"))
    run("network", "import", folder / "changed", "--data-dir", folder / "state")
    assert "the network is at revision 2, it was 1" in voided(room)
    # The service takes the revision over by itself, and the plan can be judged and approved on it.
    def taken_over():
        try:
            verdict = judge(room)
        except OSError:
            return False
        return verdict["evidence"]["network_revision"] == "2" and not found(verdict, "X2", "UNKNOWN") and not found(verdict, "T1", "UNKNOWN")

    wait_for(taken_over, what="fresh heads on revision 2")
    approved(room)
    # Other limits, by a restart of the service.
    room.stop()
    room.command += ["--set", "limits.mv_min_pu=0.94"]
    room.start()
    assert "limits have changed" in voided(room, within=10)


def test_without_the_analyser_nothing_is_approved(folder):
    """It is kept from storing its position: everything else goes on."""
    run("network", "import", NETWORK, "--data-dir", folder / "state")
    service = Service(folder, settings=("validator.analyser_age_s=60", "validator.light_load_pct=100", "ramp.scale=100"))
    lock, heads = None, None
    try:
        service.post = lambda path, expect=200, **body: check(service.send("POST", path, body), expect)
        heads = Heads(service)
        service.post("/v1/safety/declare", actor="ann", reason="register copied from the log book")
        wait_for(lambda: not found(judge(service), "X2", "UNKNOWN"), what="fresh heads")
        keep(service)
        approved(service)
        lock = subprocess.Popen(
            ["psql", "-h", str(folder / "state/postgres"), "-U", "backfeed", "-d", "postgres", "-qc",
             "BEGIN; LOCK TABLE backfeed_store.analyser_position IN EXCLUSIVE MODE; SELECT pg_sleep(120)"], stdout=subprocess.DEVNULL)
        stopped = time.monotonic()
        wait_for(lambda: plan(service)["state"] == "recheck", 90, what="recheck")
        assert time.monotonic() - stopped < 65
        assert "analysed up to" in plan(service)["reason"] or "cannot do its work" in plan(service)["reason"], plan(service)["reason"]
        # Heads are as fresh as ever; no plan is approved all the same.
        verdict = judge(service)
        assert verdict["verdict"] == "CANNOT_ASSESS" and not [f for f in found(verdict, "X2", "UNKNOWN") if "head of" in f["message"]]
        assert "void" in service.post("/v1/switching/plans/T06/steps/1/issue", 409, actor="kim")["detail"]
        # Told to stop, the service does, though the lock stays.
        heads.ended.set()
        asked = time.monotonic()
        service.stop()
        assert time.monotonic() - asked < 45
    finally:
        if lock:
            lock.kill()
        if heads:
            heads.ended.set()
        service.stop()


def test_execution_holds_when_something_is_found_otherwise(room):
    keep(room)
    approved(room)
    path = "/v1/switching/plans/T06"
    for condition in plan(room)["conditions"]:
        if condition["kind"] == "PRE":
            room.post(f"{path}/conditions", actor="kim", key=condition["key"], evidence="done")
    room.post(f"{path}/steps/1/issue", actor="kim")
    # A crew has it in hand: the plan does not end before they have said what they found.
    assert "not confirmed yet" in room.post(f"{path}/cancel", 409, actor="lee", reason="never mind")["detail"]
    held = room.post(f"{path}/steps/1/executed", actor="kim", found="open", note="stands open already")
    assert held["state"] == "hold" and "found open, expected closed" in held["reason"]
    assert "needs a new approval" in room.post(f"{path}/steps/2/issue", 409, actor="kim")["detail"]
    assert room.get(f"/v1/devices/{OPEN}")["switch_position"] == "open"
    assert room.post(f"{path}/cancel", actor="lee", reason="to be written anew")["state"] == "cancelled"


def test_no_step_is_issued_while_nobody_watches(folder):
    run("network", "import", NETWORK, "--data-dir", folder / "state")
    with control_room(folder, "validator.watch_gap_s=2") as room:
        keep(room)
        approved(room)
        for condition in plan(room)["conditions"]:
            if condition["kind"] == "PRE":
                room.post("/v1/switching/plans/T06/conditions", actor="kim", key=condition["key"], evidence="done")
        # The watch cannot say any more that it has looked; whoever issues can still read when it last did.
        held = subprocess.Popen(
            ["psql", "-h", str(folder / "state/postgres"), "-U", "backfeed", "-d", "postgres", "-c",
             "BEGIN; LOCK TABLE backfeed_store.switching_watch IN SHARE MODE; SELECT pg_sleep(30)"], stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: room.sql("SELECT now() - watched_at > interval '2.2 seconds' FROM backfeed_store.switching_watch") == "t", what="an unwatched while")
            room.post("/v1/switching/plans/T06/steps/1/issue", 409, actor="kim")
            assert "nobody watched" in plan(room)["reason"]
        finally:
            held.kill()


def test_of_two_conflicting_plans_one_is_approved_however_close_they_come(room):
    names = ["T06", "T07"]
    for name in names:
        keep(room, {**PLAN, "id": name})
    for _ in range(3):
        seen = {name: room.post(f"/v1/switching/plans/{name}/validate", actor="kim") for name in names}
        assert all(v["verdict"]["verdict"].startswith("APPROVE") for v in seen.values())
        answers = {}

        def approve(name):
            answers[name] = room.send("POST", f"/v1/switching/plans/{name}/approve", {"actor": "lee", "verdict": seen[name]["verdict_id"]})
        threads = [threading.Thread(target=approve, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(status for status, _ in answers.values()) == [200, 409], answers
        winner = next(name for name in names if answers[name][0] == 200)
        # Its next version begins as a draft.
        check(room.send("PUT", f"/v1/switching/plans/{winner}", {**PLAN, "id": winner}), 200)


def test_what_is_done_while_a_plan_is_judged_is_known_to_its_approval_and_to_its_steps(room):
    """Held up between its look at the network and its own record, while somebody else is done."""
    room.send("PUT", "/v1/network/switches/HV-TIE", {"position": "closed", "actor": "ann", "reason": "read on site"})
    tag = ("INSERT INTO backfeed_store.safety_item (kind, element, value, placed_by) VALUES ('tag', 'R-B', 'HOTLINE', 'pat'); "
           "UPDATE backfeed_store.register_activity SET number = number + 1")
    movement = "UPDATE backfeed_store.switch_state SET moves = moves + 1, record = record || jsonb_build_object('moves', moves + 1) WHERE switch = 'HV-TIE'"
    for number, (act, change) in enumerate([("approve", tag), ("issue", movement), ("approve", movement), ("issue", tag)]):
        name = f"T{number}"
        room.sql("DELETE FROM backfeed_store.safety_item")
        keep(room, {**PLAN, "id": name})
        path, body = f"/v1/switching/plans/{name}/steps/1/issue", {"actor": "kim"}
        if act == "issue":
            approved(room, name)
        else:
            path, body = f"/v1/switching/plans/{name}/approve", {"actor": "lee", "verdict": room.post(f"/v1/switching/plans/{name}/validate", actor="kim")["verdict_id"]}
        rival = subprocess.Popen(["psql", "-h", str(room.folder / "state/postgres"), "-U", "backfeed", "-d", "postgres", "-qX"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        answers = []
        asking = threading.Thread(target=lambda: answers.append(room.send("POST", path, body)))
        try:
            # Every act waits here, when it is about to be recorded.
            rival.stdin.write("BEGIN; SELECT number FROM backfeed_store.audit_head FOR UPDATE;\n")
            rival.stdin.flush()
            wait_for(lambda: room.sql("SELECT count(*) FROM pg_locks WHERE relation = 'backfeed_store.audit_head'::regclass AND mode = 'RowShareLock' AND granted") != "0", what="the rival")
            asking.start()
            wait_for(lambda: room.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%backfeed_store.audit(%'") != "0", what="the act to wait")
            rival.communicate(change + "; COMMIT;\n", timeout=60)
            asking.join(60)
        finally:
            rival.kill()
        assert check(answers[0], 409)["detail"].startswith("the approval is void" if act == "issue" else "since verdict"), answers
        after_it = plan(room, name)
        assert after_it["state"] == ("recheck" if act == "issue" else "draft") and not any(step.get("issued_at") for step in after_it["execution"])
        room.post(f"/v1/switching/plans/{name}/cancel", actor="lee", reason="over")


def test_the_register_refuses_what_cannot_be(room):
    assert "there is no switch" in room.post("/v1/safety", 400, kind="tag", element="nowhere", actor="pat")["detail"]
    room.post("/v1/safety", 201, kind="clearance", element=LINE, value="crew-1", actor="pat")
    assert "already" in room.post("/v1/safety", 409, kind="clearance", element=LINE, value="crew-1", actor="pat")["detail"]
    item = room.get("/v1/safety")["items"][0]
    # S3: who holds it releases it. A cleared line that is live is T4, for every plan.
    assert "S3" in room.post(f"/v1/safety/{item['id']}/remove", 409, actor="eve", reason="x")["detail"]
    assert found(judge(room), "T4", "BLOCK_HARD")
    # A recorded hand-over makes somebody else the holder; only the holder can give it.
    assert "S3" in room.post(f"/v1/safety/{item['id']}/transfer", 409, actor="eve", to="eve", reason="shift")["detail"]
    assert "to (the new holder)" in room.post(f"/v1/safety/{item['id']}/transfer", 400, actor="crew-1", reason="shift")["detail"]
    handed = room.post(f"/v1/safety/{item['id']}/transfer", actor="crew-1", to="crew-2", reason="end of shift")
    assert handed["items"][0]["value"] == "crew-2"
    assert "S3" in room.post(f"/v1/safety/{item['id']}/remove", 409, actor="crew-1", reason="clear")["detail"]
    records = {record["action"]: record for record in room.get(f"/v1/audit?subject={LINE}")["items"]}
    assert records["safety.transferred"]["content"]["from"] == "crew-1" and records["safety.transferred"]["content"]["to"] == "crew-2"
    room.post(f"/v1/safety/{item['id']}/remove", actor="crew-2", reason="clear")
    assert room.get("/v1/safety")["items"] == [] and not found(judge(room), "T4", "BLOCK_HARD")


def test_what_is_alive_on_a_dead_section_is_found(room):
    """D39: a device shows voltage where the network is dead as switched; people hold a clearance there."""
    room.heads.power.update({"PV-A1b": 0, "FH-A1": 2_500_000.0})
    room.heads.voltage.update({"PV-A1b": 0.97 * 12_470})
    room.send("PUT", f"/v1/network/switches/{OPEN}", {"position": "open", "actor": "kim"})
    elsewhere = {"id": "E", "kind": "PLANNED_OUTAGE", "author": "kim", "hold_hours": 1, "steps": [{"sequence": 1, "action": "disable_reclosing", "element": "R-B"}]}
    verdict = wait_for(lambda: (v := judge(room, elsewhere)) and found(v, "T1", "UNKNOWN") and v, 40, what="a doubt about the positions")
    assert found(verdict, "T1", "UNKNOWN")[0]["elements"] == ["PV-A1b"] and verdict["verdict"] == "CANNOT_ASSESS"
    room.post("/v1/safety", 201, kind="clearance", element=LINE, value="crew-1", actor="pat")
    verdict = judge(room, elsewhere)
    assert set(found(verdict, "T4", "BLOCK_HARD")[0]["elements"]) == {LINE, "PV-A1b"} and verdict["verdict"] == "REJECT"
    # Dead as it should be: the doubt is gone.
    room.heads.voltage.update({"PV-A1b": 0})
    wait_for(lambda: not found(judge(room, elsewhere), "T1", "UNKNOWN") and not found(judge(room, elsewhere), "T4", "BLOCK_HARD"), 20, what="no doubt")
    # And the other way round: three devices without voltage where it should be.
    room.send("PUT", f"/v1/network/switches/{OPEN}", {"position": "closed", "actor": "kim"})
    room.heads.voltage.update({"PV-A1b": 0, "PV-A1a": 0, "FH-A1": 0})
    verdict = wait_for(lambda: (v := judge(room, elsewhere)) and found(v, "T1", "UNKNOWN") and v, 40, what="a doubt about the positions")
    assert found(verdict, "T1", "UNKNOWN")[0]["elements"] == ["FH-A1", "PV-A1a", "PV-A1b"]


def test_the_validator_is_served_on_zeromq(room):
    context = zmq.Context.instance()
    asked, wrong = json.dumps(PLAN).encode(), json.dumps({**PLAN, "kind": "HOPE"}).encode()
    request = context.socket(zmq.REQ)
    request.connect(room.validator)

    def ask(*frames):
        request.send_multipart(frames)
        assert request.poll(20_000), "no answer"
        return json.loads(request.recv())

    over_http, verdict = judge(room), ask(asked)
    assert verdict["plan"] == "T06" and verdict["plan_hash"] == over_http["plan_hash"]
    assert verdict["verdict"] == over_http["verdict"] and verdict["evidence"]["advisories"] == over_http["evidence"]["advisories"]
    assert {(f["check"], f.get("step")) for f in verdict["findings"]} == {(f["check"], f.get("step")) for f in over_http["findings"]}
    # What is wrong is said as over HTTP, and breaks nothing.
    refused = check(room.send("POST", "/v1/switching/validate", {**PLAN, "kind": "HOPE"}), 400)
    assert ask(wrong) == refused and "HOPE" in refused["detail"]
    assert ask(b"\xff{")["status"] == 400 and "one frame" in ask(asked, asked)["detail"]
    # A DEALER has no empty frame in its envelope, and may ask again before it is answered.
    dealer = context.socket(zmq.DEALER)
    dealer.connect(room.validator)
    for text in (asked, wrong, asked):
        dealer.send(text)
    answers = [json.loads(dealer.recv()) for _ in range(3) if dealer.poll(20_000)]
    assert [a.get("plan_hash") for a in answers] == [verdict["plan_hash"], None, verdict["plan_hash"]]
    # Beyond the limit the connection is closed, before anything is kept; others are served.
    large = context.socket(zmq.DEALER)
    large.connect(room.validator)
    large.send(b" " * 1_100_000 + asked)
    assert not large.poll(1500) and ask(asked)["plan"] == "T06"
    assert {record["action"] for record in room.get("/v1/audit?subject=T06")["items"] if record["actor"] == "zeromq"} == {"plan.judged"}
    for client in (request, dealer, large):
        client.close(linger=0)
    # Where nobody shall ask, nobody is served; and never beyond this machine.
    done = run("run", "--data-dir", room.folder / "state", "--set", "validator.bind=tcp://0.0.0.0:5563", expect=None)
    assert done.returncode != 0 and "validator.bind" in done.stderr and "loopback" in done.stderr


def test_the_network_after_each_step_is_shown_element_by_element(room):
    verdict = judge(room)
    picture = check(room.send("POST", "/v1/switching/network", PLAN), 200)
    stages = picture["stages"]
    assert [stage["sequence"] for stage in stages] == [0, 1, 2] and not any(stage.get("problem") for stage in stages)
    assert [(stage["switches"][OPEN], stage["switches"][CLOSE]) for stage in stages] == [("closed", "open"), ("open", "open"), ("open", "closed")]
    node, branch = picture["nodes"].index("A1b-end"), picture["branches"].index(LINE)
    assert [stage["energised"][node] for stage in stages] == [True, False, True]
    assert [stage["feeder"][node] is None or picture["feeders"][stage["feeder"][node]] for stage in stages] == ["A1", True, "B1"]
    assert [stage["voltage_pu"][node] is None for stage in stages] == [False, True, False]
    # Line A1b carries nothing at first, and what its part takes afterwards, out of its end there.
    assert abs(stages[0]["active_power_w"][branch]) < 100 and stages[2]["active_power_w"][branch] < -100_000
    for state, stage in zip(verdict["steps"], stages):
        assert stage["energised"].count(False) == state["de_energised_nodes"]
    # Of a kept plan too; reading it records nothing.
    keep(room)
    assert room.get("/v1/switching/plans/T06/network")["branches"] == picture["branches"]
    assert "there is no plan" in check(room.send("GET", "/v1/switching/plans/none/network", None), 404)["detail"]
    assert not [record for record in room.get("/v1/audit")["items"] if "picture" in record["action"]]


def test_the_next_hours_are_judged_by_the_stored_profiles(folder):
    run("network", "import", NETWORK, "--data-dir", folder / "state")
    service = Service(folder, settings=("validator.analyser_age_s=90", "ramp.scale=100"))
    try:
        # Four weeks in which the loads were half again what the rules' midday has; DER gave what they give there.
        service.sql(
            "INSERT INTO backfeed_store.feeder_profile_15m (time, net_w, pv_w, battery_w, ev_charger_w, other_der_w, native_w, head_coverage,"
            " der_coverage, area_id, feeder, normal_feeder) SELECT t, 1.5 * load - pv, pv, 0, 0, 0, 1.5 * load, 1, 1, 1, f, f"
            " FROM generate_series(date_trunc('hour', now()) - interval '28 days', date_trunc('hour', now()) - interval '1 hour', '15 minutes') AS t,"
            " (VALUES ('A1', 5.5e6, 2e6), ('B1', 4.5e6, 0.5e6)) AS feeders (f, load, pv)")
        service.stop()
        service.start()
        service.post = lambda path, expect=200, **body: check(service.send("POST", path, body), expect)
        service.post("/v1/safety/declare", actor="ann", reason="register copied from the log book")
        heads = Heads(service)
        verdict = wait_for(lambda: (v := judge(service)) and not found(v, "X2", "UNKNOWN") and not found(v, "H3", "UNKNOWN") and v, what="fresh heads")
        # Now everything is carried; for the whole hour that the final state stays, B1a would not be.
        assert not [f for f in verdict["findings"] if f["check"] in ("H1", "H2") and f["severity"].startswith("BLOCK")]
        later = found(verdict, "H3", "BLOCK_SOFT")[0]
        assert "B1a" in later["elements"] and later["message"].startswith("From ") and later["value"] > later["limit"] > 100
        first, last = (time.strptime(part[:16], "%Y-%m-%dT%H:%M") for part in (later["message"][5:], later["message"].split(" to ")[1]))
        assert time.mktime(last) - time.mktime(first) == 2700, later["message"]
        assert verdict["verdict"] == "REJECT" and "H3" not in {item["check"] for item in verdict["not_run"]}
        # Too few days, and that is said.
        heads.ended.set()
        service.sql("DELETE FROM backfeed_store.feeder_profile_15m WHERE time > now() - interval '60 days' AND normal_feeder = 'B1'")
        service.stop()
        service.start()
        heads = Heads(service)
        verdict = wait_for(lambda: (v := judge(service)) and found(v, "H3", "CONDITION") and v, what="a condition")
        assert found(verdict, "H3", "CONDITION")[0]["elements"] == ["B1"] and "0 days" in found(verdict, "H3", "CONDITION")[0]["message"]
        heads.ended.set()
    finally:
        service.stop()


def test_the_commands_of_the_docs_lead_a_plan_to_its_first_step(room, folder):
    text = (ROOT / "docs/switching.md").read_text()
    (define, *commands) = next(block for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) if "switching/plans" in block).splitlines()
    (folder / "plan.json").write_text(json.dumps(PLAN))
    define = define.replace("http://127.0.0.1:8080", room.http)
    verdict, answers = None, []
    for command in commands:
        words = command.split("#")[0].strip()
        if '"verdict":17' in words:
            words = words.replace("17", str(verdict["verdict_id"]))
        lines = [words]
        if "…" in words:
            due = [item for item in plan(room)["conditions"] if item["kind"] == "PRE"]
            lines = [words.replace("P5-2-…", item["key"]).replace("…", "seen on site") for item in due]
        for line in lines:
            done = subprocess.run(["bash", "-c", f"{define}\n{line}"], cwd=folder, capture_output=True, text=True, timeout=60)
            answer = json.loads(done.stdout)
            assert "detail" not in answer, (line, answer)
            answers.append(answer)
        verdict = answers[-1] if words.split()[1].endswith("/validate") else verdict
    assert plan(room)["state"] == "executing" and plan(room)["execution"][0]["executed_by"] == "kim"
    # The study, by the command.
    study = next(line for line in text.splitlines() if line.startswith("backfeed validate plan.json  "))
    done = run(*study.split("#")[0].split()[1:], "--url", room.http, cwd=folder, expect=None)
    assert done.returncode in (0, 1) and "  T06" in done.stdout.splitlines()[0] and "Assessed for" in done.stdout
