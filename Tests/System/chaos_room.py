"""A control room under chaos: people who state positions, keep the register, and write, approve and execute plans, while SCADA tells right and wrong of it.

Every act has a number, which stands behind the name of who acts: in the audit log it can be found again, whether or not its answer arrived.
"""
import collections
import contextlib
import http.client
import json
import random
import shutil
import sqlite3
import subprocess
import threading
import time
import urllib.error
import urllib.request

from chaos_model import Act, Ledger, Switch, stamp
from conftest import ROOT, run, wait_for

NETWORK = ROOT / "Tests/SwitchingTests/Cases/n1/network"
NORMAL = {"HV-TIE": "closed", "CB-A1": "closed", "R-A": "closed", "T": "open", "R-B": "closed", "CB-B1": "closed", "SP-A": "closed", "SP-B": "closed"}
# Behind these nothing hangs: they may stand anywhere.
SPURS = {"SP-A": "SPUR-A", "SP-B": "SPUR-B"}
LIVE = {"A1a", "B1a", "SUB-A", "SUB-B"}
MIDDAY = {"FH-A1": 3_500_000, "FH-B1": 4_000_000, "PV-A1a": 500_000, "PV-A1b": 1_500_000, "PV-B1b": 200_000, "PV-B1a": 300_000}
BAD = ("INVALID", "TEST", "OLD", "FROZEN", "CLOCK_SUSPECT", "OUT_OF_RANGE", "INCONSISTENT")
OPEN = {"open": "closed", "closed": "open"}

SCADA = """
import json, os, random, sys, time
sys.path.insert(0, sys.argv[1])
from publisher import Publisher
telemetry, control, folder = sys.argv[2:5]
publisher = Publisher("SCADA", telemetry, control, f"{folder}/SCADA.journal")
# When a message was about to be published, and when it was known to be durable: between the two it was committed.
witness = open(f"{folder}/SCADA.witness", "a")
def note(*words):
    # A line that was cut off by a kill has no end.
    witness.write("\\n" + " ".join(map(str, words)) + " .")
    witness.flush()
orders = open(f"{folder}/orders")
# What was to be told while there was no publisher is lost.
orders.seek(0, os.SEEK_END)
durable, heads, part = publisher.durable, 0, ""
def publish(samples, order=""):
    note("P", publisher.last + 1, time.time(), order)
    publisher.publish(samples)
while not os.path.exists(f"{folder}/stop"):
    for line in iter(orders.readline, ""):
        part += line
        if not part.endswith("\\n"):
            break
        order, part = json.loads(part), ""
        kind, now = order["kind"], int(time.time() * 1e6)
        at = order["at"] or now + {"early": 72_000, "refused": 200_000}.get(kind, 0) * 1_000_000 - (random.randrange(60_000_000, 3_600_000_000) if kind == "late" else 0)
        sample = {"device": order["switch"], "time": at, "switch_position": order["position"]}
        if kind not in ("good", "late", "early", "refused", "repeated"):
            sample["quality"] = [kind]
        publish([sample], order["number"])
        if kind == "repeated":
            publisher.live.send_multipart(publisher.frames(publisher.last, json.dumps({"samples": [sample]}).encode()))
    if time.monotonic() - heads > 0.5:
        heads, now = time.monotonic(), int(time.time() * 1e6)
        publish([{"device": device, "time": now, "active_power_w": power} for device, power in json.load(open(f"{folder}/power.json")).items()])
    publisher.serve(20)
    if publisher.durable != durable:
        durable = publisher.durable
        note("D", durable, time.time())
while publisher.durable < publisher.last:
    publisher.serve(50)
note("D", publisher.durable, time.time())
"""


def network(folder, change=0, is_wrong=False):
    """The rules' network N1 with two switches more behind which nothing hangs; `change`: another impedance."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(NETWORK, folder / "network")
    for table, rows in {"nodes": ["SPUR-A,12.47,mv_node,", "SPUR-B,12.47,mv_node,"],
                        "switches": ["SP-A,LBS,bus,A1a-end,SPUR-A,closed,,A1,400,,,,", "SP-B,LBS,bus,B1a-end,SPUR-B,closed,,B1,400,,,,"]}.items():
        with open(folder / f"network/{table}.csv", "a") as file:
            file.writelines(row + "\n" for row in rows)
    lines = folder / "network/lines.csv"
    lines.write_text(lines.read_text().replace("0.40,0.70", f"0.40{change:04},0.70" if not is_wrong else "0.40,none"))
    return folder


class Interrupted(Exception):
    """A scene could not go on: something was killed, or somebody else was in its way."""


class Room:
    def __init__(self, service, folder, seed):
        self.service, self.folder, self.draw, self.other = service, folder, random.Random(seed), random.Random(seed + 1)
        self.acts, self.lock, self.tokens, self.orders = {}, threading.Lock(), 0, 0
        self.down, self.seen, self.told, self.revision = [], collections.Counter(), collections.Counter(), 0
        self.wild, self.ended = threading.Event(), threading.Event()
        # Held by whoever kills, by the colleague while they act, and by whoever compares.
        self.calm, self.busy, self.importer = threading.RLock(), threading.Lock(), None
        (folder / "orders").touch()
        self.power()

    # --- asking

    def token(self):
        with self.lock:
            self.tokens += 1
            return self.tokens

    def ask(self, method, path, body=None, actor=None, seconds=20):
        """Status and answer; (None, None): no answer; (0, None): nobody was there to take it."""
        headers = {"Content-Type": "application/json"} | ({"X-Backfeed-Actor": actor} if actor else {})
        request = urllib.request.Request(self.service.http + path, None if body is None else json.dumps(body).encode(), headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
                return error.code, json.loads(error.read())
            return None, None
        except urllib.error.URLError as error:
            return (0, None) if isinstance(error.reason, ConnectionRefusedError) else (None, None)
        except (OSError, ValueError, http.client.HTTPException):
            return None, None

    def act(self, kind, subject, who, method, path, body=None, token=None, **detail):
        """Asks once, and remembers what was asked and answered."""
        token = token or self.token()
        with self.lock:
            act = self.acts.setdefault(token, Act(token, kind, subject))
            act.detail.update(detail)
        name = f"{who}/{token}"
        sent = time.time()
        status, answer = self.ask(method, path, {**body, "actor": name} if body is not None and kind not in ("keep", "judge") else body, name)
        if status != 0:
            act.answers.append((status, answer, sent, time.time()))
        return act, status, answer

    def read(self, path, seconds=90):
        """The answer, however long nobody is there to give it."""
        def get():
            status, answer = self.ask("GET", path)
            return answer if status == 200 else None
        return wait_for(get, seconds, what=f"an answer to {path}")

    def need(self, done, *expected):
        act, status, answer = done
        if status not in (expected or (200, 201)):
            raise Interrupted(f"{act.kind} of {act.subject}: {status} {answer and answer.get('detail')}")
        return answer

    # --- what people and SCADA say

    def state(self, switch, position):
        return self.act("state", switch, "ann", "PUT", f"/v1/network/switches/{switch}", {"position": position, "reason": "read on site"})

    def place(self, kind, element, value=""):
        return self.act("place", element, "pat", "POST", "/v1/safety", {"kind": kind, "element": element, "value": value, "reason": "work"})

    def remove(self, item):
        # Whoever holds a clearance releases it: its number is that of its holder's name.
        who, token = item["value"].split("/") if item["kind"] == "clearance" else ("pat", None)
        return self.act("remove", item["element"], who, "POST", f"/v1/safety/{item['id']}/remove", {"reason": "done"}, token=token and int(token))

    def declare(self):
        return self.act("declare", "register", "ann", "POST", "/v1/safety/declare", {"reason": "copied from the log book"})

    def power(self, **changed):
        """What heads and plants give."""
        (self.folder / "power.new").write_text(json.dumps({**MIDDAY, **{key.replace("_", "-"): value for key, value in changed.items()}}))
        (self.folder / "power.new").rename(self.folder / "power.json")

    def tell(self, switch, position, kind="good", at=None):
        """SCADA is to tell a position, of now or of a moment; the order's number."""
        with self.lock:
            self.orders += 1
            self.told[kind if kind not in BAD else "bad"] += 1
            with open(self.folder / "orders", "a") as file:
                file.write(json.dumps({"number": self.orders, "switch": switch, "position": position, "kind": kind, "at": at and int(at * 1e6)}) + "\n")
            return self.orders

    def witnessed(self):
        """(message, moment, order) of what was published; (message, moment) of what was durable."""
        published, durable = [], []
        with contextlib.suppress(FileNotFoundError):
            for line in (self.folder / "SCADA.witness").read_text().splitlines():
                words = line.split()
                if words[-1:] != ["."]:
                    continue
                if words[0] == "P":
                    published.append((int(words[1]), float(words[2]), int(words[3]) if len(words) > 4 else 0))
                else:
                    durable.append((int(words[1]), float(words[2])))
        return published, durable

    def heard(self, order, seconds=15):
        """Waits until an order is durable; one that died with its publisher never is."""
        def durable():
            published, known = self.witnessed()
            message = next((p[0] for p in published if p[2] == order), None)
            return message is not None and known and known[-1][0] >= message
        try:
            wait_for(durable, seconds, every=0.05, what="durable")
        except AssertionError:
            raise Interrupted(f"order {order} is not durable") from None

    # --- plans

    def document(self, name, author, kind, steps, **more):
        return {"id": name, "kind": kind, "author": author, "hold_hours": 1, "policy": {"allow_transient_outage": True}, **more,
                "steps": [{"sequence": n, "action": action, "element": element, **({"value": value[0]} if value else {})}
                          for n, (action, element, *value) in enumerate(steps, 1)]}

    def outage(self, name, spur, author="kim"):
        return self.document(name, author, "PLANNED_OUTAGE", [("open", spur), ("place_tag", spur, "HOLD")])

    def transfer(self, name, author="kim"):
        return self.document(name, author, "LOAD_TRANSFER", [("open", "R-A"), ("close", "T")])

    def name(self):
        return f"P{self.token()}"

    def keep(self, plan):
        self.need(self.act("keep", plan["id"], "kim", "POST", "/v1/switching/plans", plan))
        return plan

    def on(self, plan, kind, who, path, **body):
        detail = {"verdict": body["verdict"]} if kind == "approve" else {"steps": plan["steps"]} if kind == "validate" else {}
        done = self.act(kind, plan["id"], who, "POST", f"/v1/switching/plans/{plan['id']}/{path}", body, **detail)
        if kind == "validate" and done[1] == 200:
            done[0].detail.update(judged=done[2]["verdict"], verdict_id=done[2]["verdict_id"])
        return done

    def validate(self, plan):
        return self.need(self.on(plan, "validate", "kim", "validate"))

    def approve(self, plan, verdict, who="lee"):
        return self.on(plan, "approve", who, "approve", verdict=verdict)

    def judge(self, plan):
        act, status, answer = self.act("judge", plan["id"], "kim", "POST", "/v1/switching/validate", plan, steps=plan["steps"])
        if status == 200:
            act.detail["judged"] = answer
        return self.need((act, status, answer))

    def plan(self, plan):
        return self.read(f"/v1/switching/plans/{plan['id']}")

    def approved(self, plan):
        """Kept, judged and approved; the answer."""
        self.keep(plan)
        seen = self.validate(plan)
        if not seen["verdict"]["verdict"].startswith("APPROVE"):
            raise Interrupted(f"{plan['id']}: {[f['message'] for f in seen['verdict']['findings'] if f['severity'] in ('UNKNOWN', 'BLOCK_SOFT', 'BLOCK_HARD')]}")
        return self.need(self.approve(plan, seen["verdict_id"]))

    def voided(self, plan, what):
        """Waits until an approval is void."""
        def state():
            return (status := self.ask("GET", f"/v1/switching/plans/{plan['id']}"))[0] == 200 and status[1]["state"] in ("recheck", "hold")
        try:
            wait_for(state, 90, every=0.05, what=f"the end of {plan['id']} by {what}")
        except AssertionError as error:
            # No kill explains that.
            raise RuntimeError(str(error)) from None

    def issue(self, plan, step):
        """Once its conditions are met and the heads were measured since the step before."""
        for condition in self.plan(plan)["conditions"]:
            if condition["kind"] == "PRE" and not condition["met"] and (condition.get("step") or 0) <= step:
                self.need(self.on(plan, "meet", "kim", "conditions", key=condition["key"], evidence="measured"))

        def ask():
            done = self.on(plan, "issue", "kim", f"steps/{step}/issue")
            return done if done[1] != 409 or "measured since" not in done[2]["detail"] else None
        return self.need(wait_for(ask, 30, every=0.2, what="heads measured since the step before"))

    def execute(self, plan, step, kind="execute", **more):
        return self.need(self.on(plan, kind, "kim", f"steps/{step}/executed", note="read back", **more))

    # --- scenes: each leaves by Interrupted where it cannot go on

    def scene_execution(self):
        spur = self.draw.choice(list(SPURS))
        plan = self.outage(self.name(), spur)
        self.approved(plan)
        self.issue(plan, 1)
        # SCADA tells of it before, after, or not at all.
        when = self.draw.choice(["before", "after", "never"])
        if when == "before":
            self.tell(spur, "open")
        self.execute(plan, 1)
        if when != "before":
            order = self.tell(spur, "open", "good" if when == "after" else self.draw.choice(BAD))
            self.heard(order)
        self.issue(plan, 2)
        self.execute(plan, 2)

    def scene_transfer(self):
        plan = self.transfer(self.name())
        self.approved(plan)
        self.issue(plan, 1)
        self.power(PV_A1b=0, FH_A1=2_500_000)
        self.execute(plan, 1)
        # Where telemetry has said otherwise before, the next step waits for it.
        self.heard(self.tell("R-A", "open"))
        self.issue(plan, 2)
        self.power(FH_A1=2_500_000, FH_B1=5_000_000)
        self.execute(plan, 2)

    def scene_found_otherwise(self):
        plan = self.outage(self.name(), "SP-A")
        self.approved(plan)
        self.issue(plan, 1)
        if self.execute(plan, 1, "find", found="open")["state"] != "hold":
            raise Interrupted("no hold")

    def scene_refused(self):
        """By its author, on a verdict that is not the newest, before it was judged, and a step without approval."""
        own = self.token()
        plan = self.keep(self.outage(self.name(), "SP-A", author=f"kim/{own}"))
        self.need(self.approve(plan, 0), 409)
        first = self.validate(plan)["verdict_id"]
        newest = self.validate(plan)["verdict_id"]
        self.need(self.approve(plan, first), 409)
        self.need(self.act("approve", plan["id"], "kim", "POST", f"/v1/switching/plans/{plan['id']}/approve", {"verdict": newest}, token=own, verdict=newest), 409)
        self.need(self.on(plan, "issue", "kim", "steps/1/issue"), 409)

    def between(self, what):
        """Something happens that approvals do not survive."""
        spur = self.draw.choice(list(SPURS))
        if what == "tag":
            self.need(self.place("tag", spur, "HOLD"))
        elif what == "tag and off":
            self.need(self.place("tag", spur, "HOTLINE"))
            self.clear()
        elif what == "ground":
            self.need(self.place("ground", self.draw.choice(sorted(LIVE))))
        elif what == "clearance":
            # Held by whoever will release it.
            self.need(self.place("clearance", "A1a", f"crew/{self.token()}"))
        elif what == "handed over":
            self.need(self.place("clearance", "B1a", holder := f"crew/{self.token()}"))
            item = next((i for i in self.read("/v1/safety")["items"] if i["value"] == holder), None) or self.stop("no clearance")
            who, token = holder.split("/")
            # The first holder's name is spent with this act.
            self.need(self.act("transfer", "B1a", who, "POST", f"/v1/safety/{item['id']}/transfer", {"to": f"crew/{self.token()}", "reason": "shift"}, token=int(token)))
        elif what == "statement":
            self.need(self.state(spur, "open"))
        elif what == "blink":
            for position in ("open", "closed"):
                self.need(self.state(spur, position))
        elif what == "telemetry":
            self.heard(self.tell(spur, "open"))
        elif what == "telemetry blink":
            self.heard(self.tell(spur, "open"))
            self.heard(self.tell(spur, "closed"))
        elif what == "declaration":
            self.need(self.declare())
        elif what == "import":
            if not self.imported("changed"):
                raise Interrupted("no import")

    def stop(self, why):
        raise Interrupted(why)

    ENDS = ("tag", "tag and off", "ground", "clearance", "handed over", "statement", "blink", "telemetry", "telemetry blink", "declaration", "import")

    def scene_changed_before_approval(self, what=None):
        what = what or self.draw.choice(self.ENDS)
        plan = self.keep(self.outage(self.name(), "SP-A"))
        seen = self.validate(plan)["verdict_id"]
        self.between(what)
        self.need(self.approve(plan, seen), 409)
        self.seen[f"refused: {what}"] += 1

    def scene_changed_after_approval(self, what=None):
        what = what or self.draw.choice(self.ENDS)
        plan = self.outage(self.name(), "SP-A")
        self.approved(plan)
        self.between(what)
        self.voided(plan, what)
        self.need(self.on(plan, "issue", "kim", "steps/1/issue"), 409)
        self.seen[f"voided: {what}"] += 1

    def scene_blocked(self):
        """What is in force forbids every approval, or that of one plan."""
        self.need(self.place(*self.draw.choice([("tag", "SP-A", "HOLD"), ("ground", "A1a"), ("clearance", "SUB-B", f"crew/{self.token()}")])))
        plan = self.keep(self.outage(self.name(), "SP-A"))
        self.judge(self.outage(f"J{self.token()}", "SP-A"))
        self.need(self.approve(plan, self.validate(plan)["verdict_id"]), 409)

    def scene_doubt(self, kind=None):
        """A person and telemetry say different things."""
        spur, kind = self.draw.choice(list(SPURS)), kind or self.draw.choice(["unconfirmed", "contradicted"])
        self.heard(self.tell(spur, "closed"))
        if kind == "unconfirmed":
            self.need(self.state(spur, "open"))
        else:
            self.need(self.state(spur, "open"))
            self.heard(self.tell(spur, "closed"))
        plan = self.keep(self.outage(self.name(), "SP-A" if spur == "SP-B" else "SP-B"))
        self.need(self.approve(plan, self.validate(plan)["verdict_id"]), 409)
        self.seen[kind] += 1

    def scene_delayed(self):
        """What telemetry said before a statement comes after it, and says otherwise."""
        self.heard(self.tell("SP-B", "closed"))
        moment = time.time()
        self.need(self.state("SP-B", "closed"))
        plan = self.outage(self.name(), "SP-A")
        self.approved(plan)
        self.heard(self.tell("SP-B", "open", at=moment))
        self.voided(plan, "telemetry that was on its way")
        self.need(self.approve(plan, self.validate(plan)["verdict_id"]), 409)

    def scene_told(self, kinds=("good", "late", "early", "refused", "repeated", "bad")):
        """Telemetry of every kind; none of it shows in a verdict but what is good and new."""
        for kind in self.draw.sample(kinds, len(kinds)):
            switch = self.draw.choice([*SPURS, *SPURS, "T", "R-B"])
            order = self.tell(switch, self.draw.choice(["open", "closed"]), self.draw.choice(BAD) if kind == "bad" else kind)
            if self.draw.random() < 0.7:
                self.heard(order)
            self.judge(self.outage(f"J{self.token()}", "SP-A"))

    def scene_two_at_once(self):
        """Two plans that are in each other's way, approved at one moment: one of them is."""
        plans = [self.keep(self.outage(self.name(), "SP-A")) for _ in range(2)]
        seen = [self.validate(plan)["verdict_id"] for plan in plans]
        self.together(*(lambda plan=plan, verdict=verdict: self.approve(plan, verdict) for plan, verdict in zip(plans, seen)))

    def together(self, *deeds):
        threads = [threading.Thread(target=deed) for deed in deeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def scene_race(self):
        """Something changes in the very moment of an approval or an issue: whichever is first, the other knows."""
        for turn in range(6):
            plan = self.keep(self.outage(self.name(), "SP-A"))
            seen = self.validate(plan)["verdict_id"]
            is_issue = turn % 2 == 1
            if is_issue:
                self.need(self.approve(plan, seen))
            rival = self.draw.choice(3 * [lambda: self.place("tag", "SP-A", "HOLD"), lambda: self.place("ground", "A1a")] + [lambda: self.state("SP-B", "open")])
            offset = self.draw.uniform(-0.005, 0.02)

            def after(deed, seconds):
                def wrapped():
                    time.sleep(max(0, seconds))
                    deed()
                return wrapped
            self.together(after((lambda: self.on(plan, "issue", "kim", "steps/1/issue")) if is_issue else (lambda: self.approve(plan, seen)), -offset), after(rival, offset))
            self.tidy()

    def scene_cancelled(self):
        plan = self.outage(self.name(), "SP-B")
        self.approved(plan)
        self.need(self.on(plan, "cancel", "lee", "cancel", reason="never mind"))

    def scene_new_version(self):
        plan = self.outage(self.name(), "SP-B")
        self.approved(plan)
        self.need(self.act("keep", plan["id"], "kim", "PUT", f"/v1/switching/plans/{plan['id']}", {**plan, "purpose": "evening"}))
        self.need(self.on(plan, "issue", "kim", "steps/1/issue"), 409)

    @property
    def scenes(self):
        return {name.removeprefix("scene_"): getattr(self, name) for name in dir(self) if name.startswith("scene_")}

    # --- tidying up

    def clear(self):
        """Everything out of the register."""
        for item in self.read("/v1/safety")["items"]:
            self.remove(item)

    def tidy(self):
        """As it normally stands, with nothing in the way of a plan."""
        for state in ("draft", "approved", "recheck", "executing", "hold"):
            for head in self.read(f"/v1/switching/plans?state={state}")["items"]:
                plan = self.read(f"/v1/switching/plans/{head['id']}")
                for step in plan["execution"]:
                    if not step.get("executed_at"):
                        self.on({"id": head["id"]}, "execute", "kim", f"steps/{step['sequence']}/executed", note="done")
                self.on({"id": head["id"]}, "cancel", "lee", "cancel", reason="to be written anew")
        self.clear()
        self.power()
        order = None
        for switch, normal in NORMAL.items():
            known = self.read(f"/v1/devices/{switch}")
            record = known.get("switch_record") or {}
            said = {(record.get(k) or {}).get("position", normal) for k in ("telemetry", "statement")}
            if known["switch_position"] != normal or record.get("doubt") or said != {normal}:
                self.need(self.state(switch, normal))
                order = self.tell(switch, normal)
        if order:
            self.heard(order)

    def ready(self, seconds=90):
        """Waits until a plan can be judged again: fresh heads, parts that work."""
        def good():
            with contextlib.suppress(Interrupted):
                return self.judge(self.outage(f"J{self.token()}", "SP-A"))["verdict"].startswith("APPROVE")
        wait_for(good, seconds, every=0.3, what="a network on which a plan can be approved")

    def play(self, name):
        """One scene, whole or until something came in between."""
        try:
            self.tidy()
            if name != "told":
                self.ready(20)
            self.scenes[name]()
            self.seen[name] += 1
            return True
        except (Interrupted, AssertionError) as why:
            self.seen["interrupted"] += 1
            (self.folder / "interrupted").open("a").write(f"{time.time():.3f} {name}: {why}\n")
            return False

    def colleague(self):
        """Somebody else, at the same time, who knows nothing of it."""
        draw = self.other
        while not self.ended.wait(draw.uniform(0.05, 0.8)):
            if not self.wild.is_set():
                continue
            with self.busy, contextlib.suppress(Interrupted, AssertionError):
                spur, position = draw.choice(list(SPURS)), draw.choice(["open", "closed"])
                draw.choice([
                    lambda: self.state(spur, position), lambda: self.tell(spur, position), lambda: self.tell(spur, position, draw.choice(["late", "early", *BAD])),
                    lambda: self.place("tag", spur, "HOLD"), lambda: self.place("restriction", "network", "fire day"), self.clear,
                    lambda: self.judge(self.outage(f"J{self.token()}", spur))])()

    # --- imports

    def imported(self, what):
        """`changed`: a new revision; `same`; `wrong`: with a mistake. Whether it was answered as expected."""
        self.revision += what == "changed"
        grid = network(self.folder / f"grid-{what}", self.revision, is_wrong=what == "wrong")
        try:
            done = run("network", "import", grid, "--data-dir", self.folder / "state", expect=None)
        except subprocess.TimeoutExpired:
            return False
        self.seen[f"import {what}"] += done.returncode == (1 if what == "wrong" else 0)
        return done.returncode == 0

    # --- comparing

    def switches(self):
        """What the publishers told, as their journal has it and not as the service says."""
        switches = {name: Switch(normal) for name, normal in NORMAL.items()}
        published, durable = self.witnessed()
        since, reached, until = {}, 0, {}
        for message, moment, _ in published:
            since.setdefault(message, moment)
        for last, moment in durable:
            for message in range(reached + 1, last + 1):
                until[message] = moment
            reached = max(reached, last)
        journal = sqlite3.connect(f"file:{self.folder}/SCADA.journal?mode=ro", uri=True)
        try:
            for message, payload in journal.execute("SELECT sequence, payload FROM message ORDER BY 1"):
                for sample in json.loads(payload)["samples"]:
                    if "switch_position" in sample:
                        switches[sample["device"]].hear(sample, since.get(message, 0), until.get(message, float("inf")))
        finally:
            journal.close()
        return switches

    def told_samples(self):
        """How many samples SCADA has published, and how many of them are more than a day ahead and refused."""
        journal = sqlite3.connect(f"file:{self.folder}/SCADA.journal?mode=ro", uri=True)
        since = {message: moment for message, moment, _ in self.witnessed()[0]}
        try:
            samples = [(since.get(message, 0), sample) for message, payload in journal.execute("SELECT sequence, payload FROM message") for sample in json.loads(payload)["samples"]]
        finally:
            journal.close()
        return len(samples), sum(sample["time"] / 1e6 > moment + 100_000 for moment, sample in samples)

    def sql(self, statement):
        """The answer, once the database that was killed is back."""
        def ask():
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                return (self.service.sql(statement),)
        return wait_for(ask, 90, what="the database")[0]

    def rows(self, query):
        return json.loads(self.sql(f"SELECT coalesce(json_agg(r), '[]') FROM ({query}) AS r"))

    def ledger(self):
        records = self.rows("SELECT number, to_char(recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.USZ') AS recorded_at, actor, action, subject, content "
                            "FROM backfeed.audit ORDER BY number")
        verdicts = {row["id"]: (row["decision"], stamp(row["valid_until"]), row["evidence"]) for row in self.rows(
            "SELECT id, decision, coalesce(valid_until, 'infinity') AS valid_until, verdict->'evidence' AS evidence FROM backfeed.switching_verdict")}
        with self.lock:
            acts = dict(self.acts)
        return Ledger(self.switches(), acts, records, verdicts, self.down, LIVE)

    def compare(self):
        """Nothing is on its way: what console, API, SQL, picture and log say is what the model has; the model."""
        with self.calm, self.busy:
            if self.importer:
                self.importer.join()
            wait_for(lambda: self.ask("GET", "/v1/network")[0] == 200, 90, what="the service")
            order = max((p[2] for p in self.witnessed()[0]), default=0)
            if order:
                self.heard(order, 120)
            # An act whose answer was lost may still be on its way: until no transaction of before is open any more.
            begun = self.sql("SELECT clock_timestamp()")
            wait_for(lambda: self.sql(f"SELECT count(*) FROM pg_stat_activity WHERE usename = 'backfeed_service' AND xact_start < '{begun}'") == "0", 90, what="the end of acts")
            wait_for(lambda: not self.ledger().standing(time.time()), 30, what="the end of approvals whose evidence has changed")
            ledger = self.ledger()
            self.agree(ledger)
            return ledger

    def agree(self, ledger):
        now = time.time()
        known = {name: switch.at(now, now) for name, switch in ledger.switches.items()}
        certain = {name: k.position for name, k in known.items() if k}
        self.seen["positions compared"] += len(certain)
        records = {row["switch"]: row["record"] for row in self.rows("SELECT switch, record FROM backfeed_store.switch_state")}
        for name, k in known.items():
            record = records.get(name, {})
            told, stated = ledger.switches[name].told, ledger.switches[name].stated
            assert record.get("telemetry", {}).get("position") == (max(told, key=lambda s: s.time).position if told else None), (name, record, told[-3:])
            assert record.get("statement", {}).get("position") == (stated[-1].position if stated else None), (name, record, stated[-3:])

        def views():
            page, plain = self.read("/v1/network/state"), self.read("/v1/network")
            picture = self.ask("POST", "/v1/switching/network", self.document("L", "kim", "EMERGENCY", [("open", name) for name in NORMAL]))[1]
            shown = {name: self.read(f"/v1/devices/{name}") for name in NORMAL}
            positions = [page["stage"]["switches"], {s["id"]: s["position"] for s in plain["switches"]}, picture["stages"][0]["switches"],
                         {name: view["switch_position"] for name, view in shown.items()}]
            said = {name: view["switch_record"].get("doubt") for name, view in shown.items() if view.get("switch_record")}
            doubts = all(bool(said.get(name)) == bool(k.doubt) for name, k in known.items() if k and k.doubt != "?")
            different = [{n: (p, view[n]) for n, p in certain.items() if n in view and view[n] != p} for view in positions]
            self.difference = different, said, known, plain["revision"], ledger.revision
            return not any(different) and doubts and plain["revision"] == ledger.revision
        try:
            # What is shown may be two seconds old.
            wait_for(views, 30, every=0.2, what="positions that agree with the model")
        except AssertionError:
            raise AssertionError(f"positions differ from the model: {self.difference}") from None
        # The register.
        in_force = sorted(ledger.items)
        assert sorted((i["kind"], i["element"], i["value"]) for i in self.read("/v1/safety")["items"]) == in_force
        assert sorted((i["kind"], i["element"], i["value"]) for i in self.rows("SELECT kind, element, value FROM backfeed.safety_item WHERE removed_at IS NULL")) == in_force
        # Plans.
        kept = {row["id"]: (row["state"], row["version"], row["verdict_id"]) for row in self.rows("SELECT id, state, version, verdict_id FROM backfeed_store.switching_plan")}
        assert {n: s[:2] for n, s in kept.items()} == {n: (p.state, p.version) for n, p in ledger.plans.items()}
        for row in self.rows("SELECT s.plan, array_agg(s.sequence) FILTER (WHERE executed_at IS NULL) AS open, array_agg(s.sequence ORDER BY place) FILTER (WHERE place IS NOT NULL) AS done "
                             "FROM backfeed_store.switching_step s JOIN backfeed_store.switching_plan p ON (p.id, p.version) = (s.plan, s.version) GROUP BY 1"):
            plan = ledger.plans[row["plan"]]
            assert ([plan.pending] if plan.pending else None, plan.done or None) == (row["open"], row["done"]), row
        assert not ledger.problems, ledger.problems[:5]
