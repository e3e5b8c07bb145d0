"use strict";
// The network as it is now: where it lies, or one feeder as a one-line diagram; what is open, dead, or in the register.
import { pageOf, severityText } from "./advisory-words.js";
import { ask, byId, clock, el, follow, rememberName } from "./common.js";
import { Picture } from "./picture.js";

const wanted = new URLSearchParams(location.search);
let drawing = null, state = null, asked = false, pointed = wanted.get("element");
/** Open advisories; null: not known. */
let advisories = null, hasNews = true;

const feeder = () => byId("feeder").value || null;

function list(name, items, none) { byId(name).replaceChildren(...(items.length ? items : [none]).map(item => el("li", {}, item))); }

const pointer = (id, text = id) => el("button", { class: "plain", onclick: () => point(id) }, text);

async function point(id) {
  pointed = id;
  const known = drawing.network.nodes.find(node => node.id === id)
    ?? drawing.network.nodes.find(node => node.id === drawing.network.switches.find(item => item.id === id)?.node);
  // What lies outside the feeder that is shown is looked for in the whole.
  if (feeder() && known && known.feeder !== feeder()) byId("feeder").value = "";
  draw();
  say(true);
}

function say(moves) {
  const found = drawing.point(pointed, moves);
  byId("pointed").textContent = found ? drawing.words(found) : pointed ? `${pointed}: not in the picture.` : "";
}

function draw() {
  drawing.arrange(feeder());
  const chosen = feeder() ? new Set([feeder()]) : new Set();
  const marks = state.switches.map(item => ({ id: item.id, label: item.position === item.normal_position ? "" : item.id, position: item.position, abnormal: item.position !== item.normal_position }));
  const { note, rows } = drawing.show({ ...state, stages: [state.stage] }, 0, marks, chosen);
  byId("picture-title").textContent = feeder() ? `${feeder()}, one-line diagram` : "Network now";
  const serious = (advisories ?? []).filter(a => a.is_active && a.severity <= 2).sort((a, b) => a.severity - b.severity || a.feeder.localeCompare(b.feeder, "en", { numeric: true }));
  drawing.call(serious.filter(a => !feeder() || a.feeder === feeder()));
  // What the load flow finds in order may not be so: what is measured has the last word.
  byId("picture-note").textContent = `At ${clock(state.assessed_at)} UTC. ${note} ${!advisories ? "Advisories: not known." : serious.length
    ? `▲ ${serious.length} ${serious.length > 1 ? "advisories" : "advisory"} of severity 1 or 2 active: beside.` : "No advisory of severity 1 or 2 is active."}`;
  list("calls", serious.map(a => el("span", {}, el("span", { class: `severity s${a.severity}` }, severityText(a.severity)), " ", drawing.has(a.element) ? pointer(a.element) : a.feeder, " ", el("a", { href: pageOf(a) }, a.message))),
    advisories ? `none${advisories.length ? `; ${advisories.length} milder or over are open` : ""}` : "not known");
  const untold = [[state.unknown_feeders, "nothing is heard of the head"], [state.contradicted_feeders, "more comes back than its DER can give; the head, a device or the network's data is wrong"]]
    .filter(([names]) => names.length).map(([names, why]) => `▲ No numbers for ${names.join(", ")}: ${why}.`);
  byId("unknown").hidden = !untold.length;
  byId("unknown").textContent = untold.join(" ");
  say(false);
  byId("worst").tBodies[0].replaceChildren(...rows);
  const off = state.switches.filter(item => item.position !== item.normal_position);
  list("off", off.map(item => [pointer(item.id), ` ${item.position}, normally ${item.normal_position}`]).map(parts => el("span", {}, ...parts)), "none: every switch is where it normally stands");
  list("open", state.switches.filter(item => item.position === item.normal_position).map(item => pointer(item.id)), "none");
  list("dead", state.dead_islands.map(island => el("span", {}, pointer(island[0]), island.length > 1 ? ` and ${island.length - 1} more nodes` : "")), "none: every node is fed");
  list("register", state.register.map(item => el("span", {}, `${item.kind.replaceAll("_", " ")}: `, pointer(item.element))), "none");
}

/** All that are open; again only when one has changed. */
async function loadAdvisories() {
  if (!hasNews && advisories) return;
  hasNews = false;
  try {
    const found = [];
    for (let cursor = "0"; cursor !== null;) {
      const page = await ask(`/v1/advisories?state=open&limit=1000&cursor=${cursor}`);
      found.push(...page.items);
      cursor = page.next;
    }
    advisories = found;
  } catch { advisories = null; }
}

async function load() {
  if (asked) return;
  asked = true;
  try {
    await loadAdvisories();
    const answer = await ask("/v1/network/state");
    if (typeof d3 === "undefined") { byId("picture-note").textContent = "The drawing library is not installed: run scripts/install-dependencies."; return; }
    // Another revision is another network.
    if (String(drawing?.network.revision) !== answer.network_revision) {
      drawing = new Picture(await ask("/v1/network"));
      const chosen = feeder() ?? wanted.get("feeder") ?? "";
      byId("feeder").replaceChildren(el("option", { value: "" }, "all, as they lie"), ...drawing.network.feeders.map(id => el("option", { value: id }, id)));
      byId("feeder").value = drawing.network.feeders.includes(chosen) ? chosen : "";
    }
    const isFirst = !state;
    state = answer;
    draw();
    if (isFirst && pointed) point(pointed);
  } catch (error) {
    state = null;
    byId("picture-note").textContent = `Not known: ${error.message}`;
  } finally { asked = false; }
}

byId("feeder").addEventListener("change", () => {
  pointed = null;
  history.replaceState(null, "", feeder() ? `?feeder=${encodeURIComponent(feeder())}` : location.pathname);
  if (state) draw();
});
byId("whole").addEventListener("click", () => drawing?.look(null));
byId("nearer").addEventListener("click", () => drawing?.nearer(1.5));
byId("farther").addEventListener("click", () => drawing?.nearer(1 / 1.5));
setInterval(() => { if (!document.hidden) load(); }, 5000);
document.addEventListener("visibilitychange", () => { if (!document.hidden) load(); });
follow({ open: () => { hasNews = true; load(); }, advisory: () => { hasNews = true; } });
rememberName(byId("actor"));
