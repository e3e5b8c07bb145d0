// Switching plans: written, judged, approved, executed. The page shows what the service says and refuses nothing itself:
// whether an act is allowed is decided there, and its reason is shown here.
"use strict";
import { ask, byId, cell, clock, el, follow, moment, percent, power, question, rememberName } from "./common.js";
import { Picture } from "./picture.js";

const decisions = {
  APPROVE: ["✓", "APPROVE", ""], APPROVE_WITH_CONDITIONS: ["◆", "APPROVE WITH CONDITIONS", "s3"],
  CANNOT_ASSESS: ["?", "CANNOT ASSESS", "s2"], REJECT: ["■", "REJECT", "s1"],
};
const severities = {
  BLOCK_HARD: ["■", "HARD BLOCK", "s1"], BLOCK_SOFT: ["▲", "BLOCK", "s2"], UNKNOWN: ["?", "NOT KNOWN", "s2"],
  CONDITION: ["◆", "CONDITION", "s3"], NOTE: ["○", "note", "s4"], PASS: ["✓", "pass", ""],
};
const states = {
  draft: ["○", "draft"], approved: ["✓", "approved"], recheck: ["▲", "recheck: the approval is void", "s2"], executing: ["▶", "being executed"],
  hold: ["■", "hold: execution stopped", "s1"], completed: ["●", "completed"], cancelled: ["×", "cancelled"],
};
const actions = ["open", "close", "place_tag", "remove_tag", "place_ground", "remove_ground", "verify", "issue_clearance", "release_clearance", "disable_reclosing", "enable_reclosing", "control", "text"];

/** What is shown: `kept` with its id, or a study that nobody keeps. */
let shown = null, step = 0, picture = null, drawing = null, serial = 0;

const actor = () => byId("actor").value.trim();
const marked = ([shape, word, colour], extra = "") => el("strong", { class: `severity ${colour ?? ""}` }, `${shape} ${word}${extra}`);

// MARK: refusals and questions
function refuse(what, error) {
  byId("refusal").textContent = `${what}: ${error.message}`;
  byId("refusal").hidden = false;
  byId("refusal").scrollIntoView({ block: "nearest" });
}

async function attempt(what, work) {
  byId("refusal").hidden = true;
  try { return await work(); } catch (error) { refuse(what, error); return null; }
}

/** An act on the chosen plan; shows the plan as it is then. */
async function act(what, path, body) {
  if (!actor()) { refuse(what, new Error("enter your name first: every act is recorded under one")); byId("actor").focus(); return; }
  const id = shown.id;
  const answer = await attempt(what, () => ask(`/v1/switching/plans/${encodeURIComponent(id)}/${path}`, "POST", { actor: actor(), ...body }));
  if (answer) await show(answer); else await reload(id);
  loadPlans();
}

// MARK: plans
async function loadPlans() {
  let plans;
  try { plans = (await ask("/v1/switching/plans?limit=500")).items; } catch { return; }
  const visible = plans.filter(plan => byId("over").checked || !["completed", "cancelled"].includes(plan.state));
  const focused = document.activeElement?.dataset?.plan;
  byId("plans").replaceChildren(...visible.map(plan => el("li", {}, el("button", {
    class: "choice", "data-plan": plan.id, "aria-pressed": String(plan.id === shown?.id), onclick: () => choose(plan.id),
  }, el("span", {}, plan.id), el("span", { class: `quiet ${states[plan.state][2] ?? ""}` }, `${states[plan.state][0]} ${plan.state}, ${plan.author}`)))));
  if (focused) byId("plans").querySelector(`[data-plan="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  byId("no-plans").hidden = visible.length > 0;
  loadDue();
  const now = plans.find(plan => plan.id === shown?.id);
  if (now && (now.version !== shown.version || now.state !== shown.state || now.changed_at !== shown.changed_at)) reload(now.id);
}

/** What completed plans have left to do: nobody opens a plan that is done. */
async function loadDue() {
  let due;
  try { due = (await ask("/v1/switching/due")).items; } catch { return; }
  const focused = document.activeElement?.dataset?.due;
  byId("due-part").hidden = !due.length;
  byId("due").replaceChildren(...due.map(item => el("li", {}, el("button", {
    class: "choice", "data-due": item.plan + item.key, onclick: () => choose(item.plan),
  }, el("span", {}, `${item.plan}: ${item.text}`),
  el("span", { class: item.overdue ? "s2" : "quiet" }, `${item.overdue ? "✕ OVERDUE since" : "due"} ${clock(item.due_at)}`)))));
  if (focused) byId("due").querySelector(`[data-due="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

let chosen = 0;

async function choose(id) {
  const mine = ++chosen;
  byId("editor").hidden = true;
  const plan = await attempt("Not shown", () => ask(`/v1/switching/plans/${encodeURIComponent(id)}`));
  // The plan that was asked for last is the one to be approved.
  if (plan && mine === chosen) { await show(plan); loadPlans(); }
}

async function reload(id) {
  try {
    const plan = await ask(`/v1/switching/plans/${encodeURIComponent(id)}`);
    if (shown?.id === id) await show(plan);
  } catch { /* the banner tells of a lost service */ }
}

/** @param item a kept plan, or {plan, verdict} of a study */
async function show(item) {
  const isOther = shown?.id !== item.id || JSON.stringify(shown?.plan) !== JSON.stringify(item.plan);
  shown = item;
  byId("welcome").hidden = true;
  byId("plan").hidden = false;
  if (isOther || step && !item.plan?.steps.some(s => s.sequence === step)) step = worstStep();
  showHead(); showSteps(); showFindings(); showConditions();
  byId("detail").hidden = !item.plan;
  await draw(isOther);
}

/** Where to look first: at the step with the gravest finding, else at what the plan ends in. */
function worstStep() {
  const { plan, verdict } = shown, grave = ["BLOCK_HARD", "BLOCK_SOFT", "UNKNOWN"];
  const found = verdict?.findings.find(f => grave.includes(f.severity) && f.step !== undefined);
  return found?.step ?? plan?.steps[plan.steps.length - 1]?.sequence ?? 0;
}

// MARK: head and acts
function showHead() {
  const { plan, verdict } = shown, isKept = shown.id !== undefined;
  byId("plan-title").textContent = isKept ? `${shown.id}, version ${shown.version}` : `${plan.id}: judged, not kept`;
  const kind = plan ? plan.kind.toLowerCase().replaceAll("_", " ") : "cannot be read";
  byId("state").replaceChildren(
    ...(isKept ? [marked(states[shown.state]), shown.reason ? `: ${shown.reason}. ` : " "] : []),
    `${kind}, written by ${shown.author ?? plan.author}${plan?.purpose ? `: ${plan.purpose}` : ""}`,
    ["approved", "executing"].includes(shown.state) ? `. Approved by ${shown.approved_by}, valid until ${moment(shown.valid_until)} UTC` : "");
  // What was said before something changed is history, and must not look like leave to go on.
  // One made after it is of now.
  const isVoid = ["recheck", "hold"].includes(shown.state) && !(Date.parse(verdict?.assessed_at) > Date.parse(shown.changed_at));
  const counts = {};
  for (const finding of verdict?.findings ?? []) counts[finding.severity] = (counts[finding.severity] ?? 0) + 1;
  const words = ["BLOCK_HARD", "BLOCK_SOFT", "UNKNOWN", "CONDITION"].filter(s => counts[s]).map(s => `${severities[s][0]} ${counts[s]} ${severities[s][1].toLowerCase()}${counts[s] > 1 && s !== "UNKNOWN" ? "s" : ""}`);
  byId("verdict").className = "verdict";
  byId("verdict").replaceChildren(...(verdict
    ? [isVoid ? el("span", { class: "quiet" }, `Before the change: ${decisions[verdict.verdict][1]} (verdict ${shown.verdict_id})`)
      : marked(decisions[verdict.verdict], isKept ? ` (verdict ${shown.verdict_id})` : ""),
      ` ${words.length ? words.join(", ") : "nothing stands against it"}.${verdict.heals?.length ? ` It makes ${verdict.heals.length === 1 ? "something" : "things"} better, too: below.` : ""} As of ${moment(verdict.assessed_at)} UTC; ${verdict.not_run?.length ?? 0} checks not run.`]
    : [marked(["?", "not judged yet", "s2"])]));
  byId("actions").replaceChildren(...(isKept ? acts() : []));
}

function acts() {
  const button = (text, onclick) => el("button", { onclick }, text), list = [];
  if (["completed", "cancelled"].includes(shown.state)) return [];
  list.push(button("Judge", () => act("Not judged", "validate", {})));
  if (shown.verdict && shown.state !== "approved" && shown.state !== "executing") list.push(button("Approve…", approve));
  if (shown.plan && !["executing", "hold"].includes(shown.state)) list.push(button("Edit", () => openEditor(JSON.stringify(shown.plan, null, 1), shown.id)));
  list.push(button("Cancel plan…", async () => {
    const given = await question({ title: `Cancel ${shown.id}`, text: "It cannot be taken up again.", fields: [{ name: "reason", label: "Reason" }], yes: "Cancel the plan" });
    if (given) act("Not cancelled", "cancel", given);
  }));
  return list.flatMap(item => [item, " "]);
}

async function approve() {
  const { verdict, conditions } = shown, number = shown.verdict_id;
  const given = await question({
    title: `Approve ${shown.id}, version ${shown.version}`,
    text: `Verdict ${number}: ${decisions[verdict.verdict][1]}, with ${conditions.length} conditions. It is judged again in this moment; the approval dies when anything that it rests on changes. Recorded as approved by ${actor() || "(enter your name first)"}.`,
    yes: "Approve",
  });
  if (given) act("Not approved", "approve", { verdict: number });
}

// MARK: steps
function showSteps() {
  const { plan, verdict } = shown;
  const rows = plan ? [null, ...plan.steps] : [];
  byId("steps").tBodies[0].replaceChildren(...rows.map((item, place) => {
    const sequence = item?.sequence ?? 0;
    const state = verdict?.steps.find(s => s.sequence === sequence);
    const found = (verdict?.findings ?? []).filter(f => (f.step ?? 0) === sequence && f.severity !== "PASS");
    const worst = ["BLOCK_HARD", "BLOCK_SOFT", "UNKNOWN", "CONDITION", "NOTE"].find(s => found.some(f => f.severity === s));
    const mark = worst ? el("span", { class: `severity ${severities[worst][2]}` }, `${severities[worst][0]} ${found.length}`) : "–";
    return el("tr", { class: sequence === step ? "chosen" : "", "data-step": sequence, onclick: () => chooseStep(sequence) },
      el("td", {}, el("button", { class: "plain", "data-sequence": sequence, "aria-pressed": String(sequence === step) }, place ? String(sequence) : "before")),
      el("td", {}, item ? el("span", {}, `${item.action.replaceAll("_", " ")} ${item.element}${item.value ? ` (${item.value})` : ""}`) : ""),
      cell(!state ? "–" : (state.safe_to_stop ? "" : "▷ do not stop here; ") + (state.radial ? "radial" : [state.loops ? `${state.loops} loop` : "", state.parallel_sources ? "parallel sources" : ""].filter(Boolean).join(", ") || "not radial")),
      cell(!state ? "–" : state.de_energised_nodes ? `${state.de_energised_nodes} nodes, ${state.de_energised_customers} customers` : "none", "number"),
      cell(state?.worst_loading_pct === undefined ? "–" : `${percent(state.worst_loading_pct)} ${state.worst_loading_element}`, "number"),
      cell(state?.min_voltage_pu === undefined ? "–" : `${state.min_voltage_pu.toFixed(3)} to ${state.max_voltage_pu.toFixed(3)}`, "number"),
      el("td", {}, mark), el("td", {}, ...(item ? execution(item) : [])));
  }));
}

function execution(item) {
  const done = shown.execution?.find(e => e.sequence === item.sequence);
  if (done?.executed_by) return [`done by ${done.executed_by}, ${clock(done.executed_at)}`];
  if (done) {
    return [`issued by ${done.issued_by} `, el("button", {
      onclick: async event => {
        event.stopPropagation();
        const given = await question({
          title: `Step ${item.sequence}: ${item.action} ${item.element}`, text: "Say what was found and done.", yes: "It was done",
          fields: [{ name: "found", label: "Found before it was operated", choices: [["", "as expected"], ["open", "open"], ["closed", "closed"], ["intermediate", "intermediate"]] }, { name: "note", label: "Note", optional: true }],
        });
        if (given) act("Not confirmed", `steps/${item.sequence}/executed`, given.found ? given : { note: given.note });
      },
    }, "Executed…")];
  }
  if (!["approved", "executing"].includes(shown.state)) return [];
  return [el("button", {
    onclick: async event => {
      event.stopPropagation();
      const given = await question({ title: `Issue step ${item.sequence}`, text: `${item.action.replaceAll("_", " ")} ${item.element}. The rest of the plan is judged again first. Backfeed operates nothing: a person does.`, yes: "Issue" });
      if (given) act("Not issued", `steps/${item.sequence}/issue`, {});
    },
  }, "Issue…")];
}

function chooseStep(sequence) {
  step = sequence;
  showSteps(); showFindings();
  byId("steps").querySelector(`[data-sequence="${sequence}"]`)?.focus({ preventScroll: true });
  drawStage(false);
}

// MARK: findings and conditions
function showFindings() {
  const { verdict } = shown;
  const all = (verdict?.findings ?? []).map((finding, place) => ({ ...finding, key: shown.finding_keys?.[place] }));
  const list = all.filter(f => f.severity !== "PASS" && (byId("notes").checked || f.severity !== "NOTE") && (!byId("one-step").checked || (f.step ?? 0) === step));
  byId("findings-title").textContent = `Findings (${list.length} of ${all.length})`;
  byId("findings").replaceChildren(...list.map(finding => el("li", {},
    ...takeOver(finding), marked(severities[finding.severity]), ` ${finding.check}${finding.step === undefined ? "" : `, step ${finding.step}`}${finding.case ? `, ${finding.case}` : ""}: `,
    finding.message, finding.remedy ? el("span", { class: "response" }, finding.remedy) : null)));
  if (!list.length) byId("findings").replaceChildren(el("li", { class: "quiet" }, verdict ? "None of these." : "There is no verdict yet."));
  const heals = verdict?.heals ?? [];
  byId("heals-part").hidden = !heals.length;
  byId("heals").replaceChildren(...heals.map(heal => el("li", {}, `${heal.remaining ? "◑" : "✓"} ${heal.check}${heal.case ? `, ${heal.case}` : ""}: ${heal.message}`)));
  const left = verdict?.not_run ?? [];
  byId("not-run").hidden = !left.length;
  byId("not-run").querySelector("summary").textContent = `${left.length} checks not run: left out, not passed`;
  byId("not-run").querySelector("ul").replaceChildren(...left.map(item => el("li", {}, `${item.check}: ${item.reason}`)));
}

/** What people may take on themselves; the service says what they may not. */
function takeOver(finding) {
  if (!finding.key || !["BLOCK_SOFT", "UNKNOWN"].includes(finding.severity)) return [];
  const given = shown.overrides.filter(o => o.key === finding.key).map(o => `${o.role} ${o.actor}`);
  const isSeen = finding.severity === "UNKNOWN";
  return [given.length ? `Taken over by ${given.join(", ")}. ` : "", el("button", {
    "aria-label": `${isSeen ? "Seen on site" : "Override"}: ${finding.message}`,
    onclick: async () => {
      const fields = isSeen ? [{ name: "reason", label: "What was seen on site, and by whom" }] : [
        { name: "role", label: "As", choices: [["supervisor", "supervisor"], ["engineer", "engineer"]] }, { name: "reason", label: "Reason" },
        { name: "hours", label: "For how many hours", type: "number", value: "1" }];
      const values = await question({
        title: isSeen ? "Seen on site" : "Override", fields, yes: isSeen ? "Record" : "Take over",
        text: `${finding.message} ${isSeen ? "Good for 15 minutes." : "A supervisor and an engineer, two people, are needed."}`,
      });
      if (!values) return;
      const until = new Date(Date.now() + Number(values.hours) * 3_600_000);
      act("Not taken over", "overrides", isSeen ? { key: finding.key, role: "field", reason: values.reason }
        : { key: finding.key, role: values.role, reason: values.reason, expires_at: until.toISOString() });
    },
  }, isSeen ? "Seen on site…" : "Override…")];
}

/** When what comes after the plan is due; a time only once the plan is done. */
function dueAfter(item) {
  if (item.due_at === undefined) return `afterwards, within ${item.due_hours} h`;
  return `${item.met || new Date(item.due_at) > Date.now() ? "due" : "OVERDUE since"} ${clock(item.due_at)}`;
}

function showConditions() {
  const list = (shown.conditions ?? []).filter(item => item.kind !== "DURING");
  byId("conditions-part").hidden = !list.length;
  byId("conditions").replaceChildren(...list.map(item => el("li", {}, item.met ? null : el("button", {
      "aria-label": `Met: ${item.text}`,
      onclick: async () => {
        const given = await question({ title: "Condition met", text: item.text, fields: [{ name: "evidence", label: "What was done or seen" }], yes: "Record" });
        if (given) act("Not recorded", "conditions", { key: item.key, ...given });
      },
    }, "Met…"), `${item.step === undefined ? "Plan" : `Step ${item.step}`}, ${item.check}${item.kind === "POST" ? `, ${dueAfter(item)}` : ""}: ${item.text} `,
    item.remedy ? el("span", { class: "response" }, item.remedy) : null,
    item.met ? el("span", {}, `✓ met by ${item.met.met_by}, ${clock(item.met.met_at)}: ${item.met.evidence}`) : null)));
}

// MARK: network
async function draw(isOther) {
  const mine = ++serial;
  try {
    const answer = shown.id !== undefined ? await ask(`/v1/switching/plans/${encodeURIComponent(shown.id)}/network`) : await ask("/v1/switching/network", "POST", shown.plan);
    if (mine !== serial) return;
    picture = answer;
    // Another revision is another network.
    if (typeof d3 !== "undefined" && String(drawing?.network.revision) !== answer.network_revision) drawing = new Picture(await ask("/v1/network"));
    drawStage(isOther);
  } catch (error) {
    if (mine === serial) { picture = null; byId("picture-note").textContent = `No picture: ${error.message}`; }
  }
}

function drawStage(isOther) {
  if (!drawing) { byId("picture-note").textContent = "The drawing library is not installed: run scripts/install-dependencies."; return; }
  const place = picture ? picture.stages.findIndex(stage => stage.sequence === step) : -1;
  if (place < 0) return;
  const concerned = new Set(shown.verdict?.evidence.feeders ?? []);
  const { switches } = picture.stages[place];
  const marks = shown.plan.steps.filter(item => switches[item.element]).map(item => ({ id: item.element, label: `${item.sequence}`, position: switches[item.element] }));
  const { note, rows } = drawing.show(picture, place, marks, concerned);
  byId("picture-title").textContent = step ? `Network after step ${step}` : "Network before the first step";
  byId("picture-note").textContent = note;
  byId("worst").tBodies[0].replaceChildren(...rows);
  if (isOther) drawing.look(concerned);
}

// MARK: editor
let editing = null;

async function openEditor(text, id = null) {
  editing = id;
  byId("welcome").hidden = true;
  byId("editor").hidden = false;
  byId("editor-title").textContent = id ? `New version of ${id}` : "New plan";
  byId("text").value = text;
  byId("text").focus();
  if (byId("elements").children.length) return;
  const network = await attempt("Elements not loaded", () => ask("/v1/network"));
  const names = network ? [...network.switches, ...network.branches.filter(b => b.kind !== "bus"), ...network.nodes].map(item => item.id) : [];
  byId("elements").replaceChildren(...names.map(value => el("option", { value })));
}

function template() {
  const day = new Date().toISOString().slice(0, 10);
  return JSON.stringify({ id: `P-${day}-1`, purpose: "", kind: "LOAD_TRANSFER", author: actor(), hold_hours: 4, policy: { allow_transient_loop: false, allow_transient_outage: false }, steps: [] }, null, 1);
}

byId("step-form").addEventListener("submit", event => {
  event.preventDefault();
  attempt("Step not added", async () => {
    let plan;
    try { plan = JSON.parse(byId("text").value); } catch (error) { throw new Error(`the text is not JSON yet (${error.message})`); }
    const item = { sequence: 1 + Math.max(0, ...(plan.steps ?? []).map(s => s.sequence ?? 0)), action: byId("step-action").value, element: byId("step-element").value.trim() };
    if (byId("step-value").value.trim()) item.value = byId("step-value").value.trim();
    plan.steps = [...(plan.steps ?? []), item];
    byId("text").value = JSON.stringify(plan, null, 1);
    byId("step-element").value = byId("step-value").value = "";
    byId("step-element").focus();
  });
});

byId("judge").addEventListener("click", () => attempt("Not judged", async () => {
  const text = byId("text").value, verdict = await ask("/v1/switching/validate", "POST", text);
  await show({ plan: JSON.parse(text), verdict });
  loadPlans();
}));

byId("keep").addEventListener("click", () => attempt("Not kept", async () => {
  const [path, method] = editing ? [`/v1/switching/plans/${encodeURIComponent(editing)}`, "PUT"] : ["/v1/switching/plans", "POST"];
  const kept = await ask(path, method, byId("text").value);
  byId("editor").hidden = true;
  await show(kept);
  await act("Not judged", "validate", {});
}));

// MARK: register
async function loadRegister() {
  let register;
  try { register = await ask("/v1/safety"); } catch { return; }
  const { declared, items } = register;
  byId("declared").replaceChildren(declared ? `Declared complete by ${declared.by}, ${moment(declared.at)} UTC. ${items.length} in force.`
    : marked(["?", "not declared complete: nothing can be approved", "s2"]));
  byId("items").replaceChildren(...items.map(item => el("li", {}, `${item.kind.replaceAll("_", " ")} ${item.value ?? ""} on ${item.element} `, item.kind !== "clearance" ? null : el("button", {
    "aria-label": `Hand over clearance of ${item.value} on ${item.element}`,
    onclick: async () => {
      const given = await question({ title: `Hand over the clearance on ${item.element}`, text: `${item.value} holds it, and must be the one who acts.`, fields: [{ name: "to", label: "New holder" }, { name: "reason", label: "Reason" }], yes: "Hand over" });
      if (given) register_act("Not handed over", `/v1/safety/${item.id}/transfer`, given);
    },
  }, "Hand over…"), " ", el("button", {
    "aria-label": `Remove ${item.kind} on ${item.element}`,
    onclick: async () => {
      const given = await question({ title: `Remove ${item.kind} on ${item.element}`, fields: [{ name: "reason", label: "Reason" }], yes: "Remove" });
      if (given) register_act("Not removed", `/v1/safety/${item.id}/remove`, given);
    },
  }, "Remove…"))));
}

async function register_act(what, path, body) {
  if (!actor()) { refuse(what, new Error("enter your name first: every act is recorded under one")); byId("actor").focus(); return; }
  await attempt(what, () => ask(path, "POST", { actor: actor(), ...body }));
  loadRegister();
}

byId("declare").addEventListener("click", async () => {
  const given = await question({
    title: "Declare the register complete", yes: "Declare", fields: [{ name: "reason", label: "How you know" }],
    text: "You say that everything in force stands here: tags, grounds, clearances, disabled reclosing, restrictions. Verdicts will rest on it.",
  });
  if (given) register_act("Not declared", "/v1/safety/declare", given);
});

byId("place").addEventListener("click", async () => {
  const given = await question({
    title: "Place", yes: "Place", fields: [
      { name: "kind", label: "What", choices: [["tag", "tag"], ["ground", "ground"], ["clearance", "clearance"], ["reclosing_disabled", "reclosing disabled"], ["restriction", "restriction"]] },
      { name: "element", label: "Element; of a restriction: a feeder, or network", list: "elements" }, { name: "value", label: "Of a tag: HOLD or HOTLINE; of a clearance: its holder; of a restriction: what it is", optional: true }, { name: "reason", label: "Reason" }],
  });
  if (given) register_act("Not placed", "/v1/safety", given);
});

// MARK: wiring
byId("step-action").replaceChildren(...actions.map(value => el("option", { value }, value)));
byId("new").addEventListener("click", () => openEditor(template()));
byId("close-editor").addEventListener("click", () => { byId("editor").hidden = true; byId("welcome").hidden = shown !== null; });
byId("over").addEventListener("change", loadPlans);
for (const id of ["notes", "one-step"]) byId(id).addEventListener("change", () => shown && showFindings());
byId("focus").addEventListener("click", () => drawing?.look(new Set(shown?.verdict?.evidence.feeders ?? [])));
byId("whole").addEventListener("click", () => drawing?.look(null));
byId("nearer").addEventListener("click", () => drawing?.nearer(1.5));
byId("farther").addEventListener("click", () => drawing?.nearer(1 / 1.5));
rememberName(byId("actor"));
// An approval that dies is seen within a second of its end: the list is small, and asked for every second.
setInterval(loadPlans, 1000);
setInterval(loadRegister, 5000);
follow({ open: () => { loadPlans(); loadRegister(); } });
