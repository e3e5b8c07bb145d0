"""What the documentation says that positions, register and approvals must be, by what was published and entered alone.

Written from docs/switching.md and docs/audit.md, and kept apart from the product. Nobody knows the moment at which something was committed, only two between
which it was: whatever could have been so is allowed, and only what cannot be is called wrong. Times are the wall clock's, in seconds.
"""
import collections
import dataclasses
import datetime
import json
import math

# What stands in docs/protocol.md as used, with low confidence; anything else but no quality at all moves no switch.
USED = {"QUESTIONABLE", "SIGN_UNVERIFIED", "SUBSTITUTED", "ESTIMATED"}
# Seconds of which a sample may be ahead of the clock.
AHEAD = 5
STANDING = ("approved", "executing")
RESERVING = ("approved", "executing", "hold")


def stamp(text):
    return datetime.datetime.fromisoformat(text).timestamp()


@dataclasses.dataclass(frozen=True)
class Saying:
    """A position, by telemetry or a person: `time` is from when it holds; it was committed between `since` and `until`."""
    time: float
    position: str
    since: float
    until: float


@dataclasses.dataclass(frozen=True)
class Known:
    """Where a switch stands by the rule; `doubt`: why nobody may rely on it."""
    position: str
    doubt: str | None
    telemetry: str | None
    statement: str | None


class Switch:
    """Everything that was said of one switch, and what the table in docs/switching.md makes of it."""

    def __init__(self, normal, age=900):
        self.normal, self.age, self.told, self.stated = normal, age, [], []

    def hear(self, sample, since, until):
        """Telemetry as it was published; what is of bad quality or ahead of the clock moves nothing."""
        time, quality = sample["time"] / 1e6, set(sample.get("quality", []))
        if quality <= USED and time <= since + AHEAD:
            self.told.append(Saying(time, sample["switch_position"], since, until))

    def at(self, begin, end):
        """Known for all of that time; None: it cannot be said, because something was on its way."""
        told = [s for s in self.told if s.until <= begin]
        newest = max(told, key=lambda s: s.time, default=None)
        oldest = newest.time if newest else -math.inf
        # Only what is newer than the newest can have moved it.
        if any(s.time > oldest and s.since < end and s.until > begin for s in self.told):
            return None
        stated = [s for s in self.stated if s.until <= begin]
        if any(s.since < end and s.until > begin for s in self.stated):
            return None
        # In the order of their commits.
        statement = stated[-1] if stated else None
        said = newest.position if newest else None, statement.position if statement else None
        if not statement or not newest or newest.position == statement.position:
            latest = max((s for s in (newest, statement) if s), key=lambda s: s.time, default=None)
            return Known(latest.position if latest else self.normal, None, *said)
        agreed = self.agreed(statement, told)
        if newest.time > statement.time:
            if agreed is None:
                return None
            return Known(newest.position, None, *said) if agreed else Known("unknown", "contradicted", *said)
        if agreed or begin > newest.until + self.age:
            return Known(statement.position, None, *said)
        # Within the age for sure, or nobody knows.
        return Known(statement.position, "unconfirmed" if agreed is False and end < newest.since + self.age else "?", *said)

    @staticmethod
    def agreed(statement, told):
        """Whether telemetry has agreed with a statement at its time or since; None: it cannot be said."""
        def was_taken(saying):
            """For sure: nothing that is newer was there before it. What comes behind something newer is history."""
            return not any(s.time > saying.time and s.since < saying.until for s in told)
        then = max((s for s in told if s.time <= statement.time), key=lambda s: s.time, default=None)
        # Nothing that is older than that says anything of it.
        told = [s for s in told if not then or s.time >= then.time]
        since = [s for s in told if s.time > statement.time and s.position == statement.position]
        if any(was_taken(s) for s in since):
            return True
        if then and not (then.until <= statement.since or was_taken(then)):
            return None
        if then and then.position == statement.position:
            return True
        return None if since else False


@dataclasses.dataclass
class Act:
    """What somebody asked over HTTP. `answers`: (status, body, sent, answered), one for each time that it was asked; status None: lost."""
    token: int
    kind: str
    subject: str
    answers: list = dataclasses.field(default_factory=list)
    detail: dict = dataclasses.field(default_factory=dict)

    @property
    def sent(self):
        return self.answers[0][2] if self.answers else math.inf

    @property
    def good(self):
        return next((a for a in self.answers if a[0] in (200, 201)), None)


# The record that an act leaves when it is done, and when it is refused (None: that is not recorded).
RECORDS = {
    "state": ("switch.positioned", None), "place": ("safety.placed", "safety.place.refused"), "remove": ("safety.removed", "safety.remove.refused"),
    "transfer": ("safety.transferred", "safety.transfer.refused"), "declare": ("safety.register_declared", "safety.declare.refused"),
    "keep": ("plan.kept", "plan.keep.refused"), "judge": ("plan.judged", "plan.judge.refused"), "validate": ("plan.validated", "plan.validate.refused"),
    "approve": ("plan.approved", "plan.approve.refused"), "cancel": ("plan.cancelled", "plan.cancel.refused"), "meet": ("plan.condition_met", "plan.meet.refused"),
    "issue": ("step.issued", "plan.issue.refused"), "execute": ("step.executed", "plan.execute.refused"), "find": ("step.found_otherwise", "plan.execute.refused")}
# What else an act may write.
BESIDE = {"approve": {"plan.validated"}, "issue": {"plan.validated"},
          "execute": {"switch.positioned", "safety.placed", "safety.removed", "plan.completed"}, "find": {"switch.positioned"}}
# Always there when its act was done.
WITH = {"approve": "plan.validated", "issue": "plan.validated", "find": "switch.positioned"}
OF_THE_SERVICE = {"plan.recheck", "plan.hold", "plan.condition_overdue", "network.imported"}


@dataclasses.dataclass
class Plan:
    """A kept plan, by its records."""
    author: str
    document: dict
    version: int = 1
    state: str = "draft"
    # (number of the verdict, record, decision) of this version, oldest first
    verdicts: list = dataclasses.field(default_factory=list)
    # record of the approval that stands
    approved: int = 0
    valid_until: float = math.inf
    pending: int | None = None
    done: list = dataclasses.field(default_factory=list)
    feeders: frozenset = frozenset()

    @property
    def steps(self):
        return {s["sequence"]: s for s in self.document["steps"]}


class Ledger:
    """Goes through the audit log in its order, which is that of the commits, and says what is forbidden."""

    def __init__(self, switches, acts, records, verdicts, down=(), live=(), watch_gap=5):
        """switches: Switch by id, with what was told; acts: Act by token; records: of the log; verdicts: (decision, valid until, evidence) by number;
        down: (from, until) in which no service ran; live: elements that always have voltage."""
        self.switches, self.acts, self.records, self.verdicts = switches, acts, records, verdicts
        self.down, self.live, self.gap = down, live, watch_gap
        self.items, self.is_declared, self.revision, self.plans = {}, False, 1, {}
        self.problems, self.forbidden = [], []
        self.count = collections.Counter()
        # (record, plan whose step it was or None, text) of each change that ends approvals.
        self.changes = []
        self.number = {record["number"]: place for place, record in enumerate(records)}
        self.placed = []
        for place, record in enumerate(records):
            record["at"] = stamp(record["recorded_at"])
        for place, record in enumerate(records):
            record["end"] = records[place + 1]["at"] if place + 1 < len(records) else math.inf
            self.take_statement(record)
        for record in records:
            self.take(record)
        self.compare_acts()

    # --- acts and records

    def token(self, record):
        name = record["actor"].rsplit("/", 1)
        return int(name[1]) if len(name) == 2 and name[1].isdigit() else None

    def window(self, record):
        """Between which moments a record was committed: the next is written after it, and who acted was answered after it."""
        act = self.acts.get(self.token(record))
        good = act.good if act else None
        return max(record["at"], act.sent if act else 0), min(record["end"], good[3] if good else math.inf)

    def take_statement(self, record):
        if record["action"] == "switch.positioned" and record["subject"] in self.switches:
            since, until = self.window(record)
            self.switches[record["subject"]].stated.append(Saying(stamp(record["content"]["time"]), record["content"]["position"], since, until))

    def compare_acts(self):
        """One record for each act that was answered with yes, none for one that was never sent or was refused."""
        by_token = collections.defaultdict(collections.Counter)
        for record in self.records:
            if record["action"] in OF_THE_SERVICE:
                continue
            token = self.token(record)
            if token not in self.acts:
                self.problems.append(f"record {record['number']} ({record['action']} by {record['actor']}) is of an act that nobody sent")
                continue
            by_token[token][record["action"]] += 1
        for token, act in self.acts.items():
            done, refused = RECORDS[act.kind]
            found, status = by_token[token], [a[0] for a in act.answers]
            yes, no = sum(s in (200, 201) for s in status), status.count(409)
            lost = sum(s is None or s >= 500 for s in status)
            self.count["lost"] += lost
            name = f"{act.kind} of {act.subject} ({act.token}, answered {status})"
            if not min(1, yes) <= found[done] <= max(min(1, yes), min(1, yes + lost)):
                self.problems.append(f"{name} has {found[done]} records {done}")
            if refused and not no <= found[refused] <= no + lost:
                self.problems.append(f"{name} has {found[refused]} records {refused}")
            if found[done] and act.kind in WITH and not found[WITH[act.kind]]:
                self.problems.append(f"{name} is recorded without {WITH[act.kind]}")
            strange = set(found) - {done, refused} - BESIDE.get(act.kind, set())
            if strange:
                self.problems.append(f"{name} has records {strange}")

    # --- what the records make of the room

    def take(self, record):
        handler = getattr(self, "take_" + record["action"].replace(".", "_"), None)
        if handler:
            handler(record, record["content"])

    def change(self, record, plan, text):
        self.changes.append((record["number"], plan, text))

    def take_network_imported(self, record, content):
        self.revision = int(content["revision"])
        self.change(record, None, f"revision {self.revision}")

    def take_switch_positioned(self, record, content):
        """A change only where the switch stood otherwise before, for sure."""
        switch = self.switches[record["subject"]]
        since, _ = self.window(record)
        before = switch.at(since, since)
        act = self.acts.get(self.token(record))
        plan = act.subject if act and act.kind in ("execute", "find") else None
        if before and before.position != content["position"]:
            self.change(record, plan, f"{record['subject']} {content['position']}")

    def take_safety_register_declared(self, record, content):
        self.is_declared = True
        self.change(record, None, "declared")

    def take_safety_placed(self, record, content):
        key = content["kind"], record["subject"], content["value"]
        if key in self.items:
            self.problems.append(f"record {record['number']}: {key} is in force already")
        self.items[key] = record["number"]
        self.placed.append([key, record, None])
        self.change(record, content.get("plan"), f"{key} placed")

    def take_safety_removed(self, record, content):
        key = content["kind"], record["subject"], content["value"]
        if self.items.pop(key, None) is None:
            self.problems.append(f"record {record['number']}: {key} was not in force")
        self.end(key, record)
        if key[0] == "clearance" and key[2] != record["actor"] and not content.get("plan"):
            self.problems.append(f"record {record['number']}: {record['actor']} released the clearance of {key[2]}")
        self.change(record, content.get("plan"), f"{key} removed")

    def take_safety_transferred(self, record, content):
        old, new = (("clearance", record["subject"], content[name]) for name in ("from", "to"))
        if self.items.pop(old, None) is None or old[2] != record["actor"]:
            self.problems.append(f"record {record['number']}: {record['actor']} handed over {old}")
        self.items[new] = record["number"]
        self.end(old, record)
        self.placed.append([new, record, None])
        self.change(record, None, f"{old} handed over")

    def end(self, key, record):
        for item in self.placed:
            if item[0] == key and item[2] is None:
                item[2] = record

    def take_plan_kept(self, record, content):
        document = json.loads(content["document"])
        old = self.plans.get(record["subject"])
        if old and (old.done or old.pending or old.state in ("executing", "hold", "completed", "cancelled")):
            self.problems.append(f"record {record['number']}: a new version of {record['subject']}, which is {old.state}")
        self.plans[record["subject"]] = Plan(document["author"], document, old.version + 1 if old else 1)

    def take_plan_validated(self, record, content):
        self.plans[record["subject"]].verdicts.append((content["verdict"], record["number"], content["decision"]))

    def take_plan_approved(self, record, content):
        plan, name = self.plans[record["subject"]], record["subject"]
        number = content["verdict"]
        decision, until, evidence = self.verdicts[number]
        wrong = []
        act = self.acts[self.token(record)]
        if plan.author.lower() == record["actor"].lower():
            wrong.append("by its author")
        if plan.state not in ("draft", "recheck", "hold"):
            wrong.append(f"while it was {plan.state}")
        seen = act.detail["verdict"]
        earlier = [v for v in plan.verdicts if v[0] < number]
        if not earlier or earlier[-1][0] != seen:
            wrong.append(f"on verdict {seen}, newer was {earlier[-1:]}")
        if not decision.startswith("APPROVE"):
            wrong.append(f"on {decision}")
        if not self.is_declared:
            wrong.append("before the register was declared")
        if evidence["network_revision"] != str(self.revision):
            wrong.append(f"on revision {evidence['network_revision']}, in force is {self.revision}")
        wrong += self.against(plan)
        # What was recorded after the verdict that was seen is not in it, whether or not it was taken back.
        first = next((v[1] for v in plan.verdicts if v[0] == seen), record["number"])
        wrong += [f"since the verdict: {text}" for at, _, text in self.changes if first < at]
        for other, standing in self.plans.items():
            if other != name and standing.state in RESERVING and standing.feeders & set(evidence["feeders"]):
                wrong.append(f"beside {other}, which is {standing.state}")
        seen_until = self.verdicts[seen][1] if seen in self.verdicts else math.inf
        if seen_until < record["at"]:
            wrong.append("on a verdict that had expired")
        wrong += self.doubts(act.answers[-1][2], record)
        wrong += self.moved(self.verdict_act(seen), act.answers[-1][2], record)
        self.count["given"] += 1
        self.forbid(record, f"approval of {name}", wrong)
        plan.state = "executing" if plan.state == "hold" else "approved"
        plan.approved, plan.valid_until, plan.feeders = record["number"], until, frozenset(evidence["feeders"])

    def verdict_act(self, number):
        return next((a for a in self.acts.values() if a.detail.get("verdict_id") == number and a.kind == "validate"), None)

    def forbid(self, record, what, wrong):
        if wrong:
            self.forbidden.append(f"record {record['number']}: {what} {'; '.join(wrong)}")

    def against(self, plan):
        """What is in force in the register and forbids a plan, whatever else is."""
        moved = {s["element"] for n, s in plan.steps.items() if s["action"] in ("open", "close") and n not in plan.done}
        own = {s["element"] for s in plan.steps.values() if s["action"] in ("place_tag", "remove_tag")}
        wrong = [f"with {key} in force" for key in self.items if key[0] == "tag" and key[2] == "HOLD" and key[1] in moved - own]
        return wrong + [f"with {key} on what is live" for key in self.items if key[0] in ("ground", "clearance") and key[1] in self.live]

    def doubts(self, begin, record):
        """Switches that nobody could rely on for all the time that it took."""
        since, _ = self.window(record)
        known = {name: switch.at(begin, since) for name, switch in self.switches.items()}
        return [f"while {name} was {k.position}, {k.doubt}" for name, k in known.items() if k and k.doubt in ("contradicted", "unconfirmed")]

    def moved(self, verdict, begin, record):
        """Switches that stood elsewhere when the verdict was made, for sure; also those that telemetry has moved to and fro."""
        if not verdict or not verdict.good:
            return []
        since, _ = self.window(record)
        wrong = []
        for name, switch in self.switches.items():
            before, after = switch.at(*verdict.good[2:4]), switch.at(begin, since)
            between = [s for s in switch.told if s.since >= verdict.good[3] and s.until <= begin]
            if before and after and before.position != after.position:
                wrong.append(f"{name} was {before.position} for the verdict, {after.position} then")
            elif before and any(s.position != before.position and (k := switch.at(s.until, s.until)) and k.position == s.position for s in between):
                wrong.append(f"{name} has moved and come back")
        return wrong

    def take_plan_recheck(self, record, content):
        self.void(record, "recheck", "approved")

    def take_plan_hold(self, record, content):
        self.void(record, "hold", "executing")

    def void(self, record, state, before):
        plan = self.plans[record["subject"]]
        self.count["voided"] += 1
        if plan.state != before:
            self.problems.append(f"record {record['number']}: {record['subject']} to {state}, it was {plan.state}")
        plan.state = state

    def ended(self, name, plan, until):
        """What has ended an approval for sure before a record."""
        return [text for at, by, text in self.changes if plan.approved < at < until and by != name]

    def take_step_issued(self, record, content):
        plan, name = self.plans[record["subject"]], record["subject"]
        sequence = content["step"]["sequence"]
        wrong = [] if plan.state in STANDING else [f"while it was {plan.state}"]
        wrong += [f"after {text}" for text in self.ended(name, plan, record["number"])] + self.against(plan)
        first = min(set(plan.steps) - set(plan.done), default=None)
        if plan.pending or sequence != first:
            wrong.append(f"out of turn: {plan.pending} was on its way, {first} came next")
        if plan.valid_until < record["at"]:
            wrong.append("after its validity")
        approved = self.records[self.number[plan.approved]]["at"] if plan.approved else 0
        wrong += [f"after nobody watched for {until - since:.1f} s" for since, until in self.down if approved < since and until < record["at"] and until - since > self.gap + 1]
        act = self.acts[self.token(record)]
        wrong += self.doubts(act.answers[-1][2], record)
        self.count["issued"] += 1
        self.forbid(record, f"step {sequence} of {name} issued", wrong)
        plan.state, plan.pending = "executing", sequence
        plan.valid_until = self.verdicts[content["verdict"]][1]

    def take_step_executed(self, record, content):
        plan, sequence = self.plans[record["subject"]], content["step"]["sequence"]
        if plan.pending != sequence or plan.state not in ("executing", "hold"):
            self.problems.append(f"record {record['number']}: step {sequence} of {record['subject']} executed, issued was {plan.pending}, {plan.state}")
        plan.pending = None
        plan.done.append(sequence)
        self.count["executed"] += 1

    def take_step_found_otherwise(self, record, content):
        plan = self.plans[record["subject"]]
        plan.pending, plan.state = None, "hold"
        self.count["found_otherwise"] += 1

    def take_plan_completed(self, record, content):
        plan = self.plans[record["subject"]]
        if set(plan.done) != set(plan.steps):
            self.problems.append(f"record {record['number']}: {record['subject']} completed after {plan.done}")
        plan.state = "completed"
        self.count["completed"] += 1

    def take_plan_cancelled(self, record, content):
        plan = self.plans[record["subject"]]
        if plan.pending or plan.state in ("completed", "cancelled"):
            self.problems.append(f"record {record['number']}: {record['subject']} cancelled, it was {plan.state}, {plan.pending} on its way")
        plan.state = "cancelled"
        self.count["cancelled"] += 1

    # --- what must be so after all of it

    def standing(self, now):
        """Approvals that stand although something that they rest on has changed: to be void within seconds."""
        wrong = []
        for name, plan in self.plans.items():
            if plan.state not in STANDING:
                continue
            reasons = self.ended(name, plan, math.inf) + (["its validity is over"] if plan.valid_until < now else [])
            approved = self.records[self.number[plan.approved]]
            moved = {s["element"] for s in plan.steps.values() if s["action"] in ("open", "close")}
            for switch, known in ((n, s) for n, s in self.switches.items() if n not in moved):
                since, until = self.window(approved)
                before, after = known.at(since, since), known.at(now, now)
                if before and after and before.position != after.position:
                    reasons.append(f"{switch} {after.position}")
                if after and after.doubt in ("contradicted", "unconfirmed"):
                    reasons.append(f"{switch} {after.doubt}")
            wrong += [f"{name} is {plan.state} after {reasons}"] if reasons else []
        return wrong

    def judge_verdicts(self):
        """Each verdict that was answered, by what was so for certain all the time that it took."""
        by_hash, by_positions = {}, {}
        for act in self.acts.values():
            verdict = act.detail.get("judged")
            if act.kind not in ("validate", "judge") or not verdict or not act.good:
                continue
            begin, end = act.good[2:4]
            known = {name: switch.at(begin, end) for name, switch in self.switches.items()}
            is_good = verdict["verdict"].startswith("APPROVE")
            told = {e for f in verdict["findings"] if f["check"] == "T1" for e in f.get("elements", [])}
            for name, k in known.items():
                if not k or k.doubt == "?":
                    continue
                if k.doubt:
                    self.count["doubtful_verdicts"] += 1
                    if is_good or name not in told:
                        self.forbidden.append(f"verdict {verdict['verdict']} on {act.subject} names {sorted(told)}, {name} was {k.position}, {k.doubt}")
            moves = {s["element"] for s in act.detail["steps"] if s["action"] in ("open", "close")}
            for key, placed, removed in self.placed:
                if self.window(placed)[1] > begin or (removed and self.window(removed)[0] < end):
                    continue
                stands = key[0] == "tag" and key[2] == "HOLD" and key[1] in moves or key[0] in ("ground", "clearance") and key[1] in self.live
                if stands:
                    self.count["blocked_verdicts"] += 1
                    if is_good:
                        self.forbidden.append(f"verdict {verdict['verdict']} on {act.subject} with {key} in force")
            # Each verdict rests on positions: the same ones have one hash, and others another.
            if all(known.values()):
                positions = tuple(known[name].position for name in sorted(known))
                digest = verdict["evidence"]["switch_state_hash"]
                self.count["verdicts_on_known_positions"] += 1
                if by_hash.setdefault(digest, positions) != positions:
                    self.forbidden.append(f"verdict on {act.subject} rests on the positions of {by_hash[digest]}, on record was {positions}")
                elif by_positions.setdefault(positions, digest) != digest:
                    self.forbidden.append(f"verdict on {act.subject} rests on other positions than those before on {positions}, which is on record")
