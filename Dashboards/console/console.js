"use strict";
// The first page: feeders, one chart, advisories. Everything shown comes with its time and age.
import { acts, allowed, amount, pageOf, perform, severityText, shapes, stateText } from "./advisory-words.js";
import { ask, byId, cell, clock, controlRoom, duration, el, follow, localTime, power, rememberName } from "./common.js";
import { atDesk, deskName, fillDesks } from "./desk.js";
import { byAttention, byName, isToLookAt } from "./feeder-order.js";

let feeders = [], advisories = new Map(), chosen = null, plot = null, points = null;
let forecast = null, asked = 0;

// MARK: feeders
function showFeeders() {
  const body = byId("feeders").tBodies[0];
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.feeder : null;
  const mine = feeders.filter(feeder => atDesk(feeder.id)).sort(byId("by-name").checked ? byName : byAttention);
  byId("feeders-note").textContent = `to look at: ${mine.filter(isToLookAt).length}`;
  const rows = mine.map(feeder => {
    const row = document.createElement("tr");
    const stale = feeder.direction === "unknown";
    row.className = (feeder.id === chosen ? "chosen " : "") + (stale ? "stale" : "");
    row.dataset.feeder = feeder.id;
    const name = document.createElement("td"), button = document.createElement("button");
    button.className = "plain"; button.textContent = feeder.id; button.dataset.feeder = feeder.id;
    button.setAttribute("aria-pressed", String(feeder.id === chosen));
    name.append(button);
    const arrow = { import: "→ import", reverse: "← REV", unknown: "? unknown" }[feeder.direction];
    // Where nothing may come back there is no share of it.
    const share = feeder.direction !== "reverse" ? "–" : feeder.reverse_limit_w > 0
      ? Math.round(-feeder.head_power_w / feeder.reverse_limit_w * 100) + " %" : "none allowed";
    const counts = Object.entries(feeder.active_advisories).sort(), parts = Object.entries(feeder.active_parts ?? {}).sort();
    const list = cell("");
    const mark = ([severity, count]) => `${shapes[severity]}${severity}×${count}`;
    for (const each of counts) list.append(el("span", { class: "severity s" + each[0] }, mark(each)), " ");
    // Milder ones, which an advisory at another place stands for: quiet, and not left out.
    if (parts.length) list.append(el("span", { class: "quiet", title: "part of an advisory that is told at another place, as a bank's" }, `(${parts.map(mark).join(" ")})`));
    if (!counts.length && !parts.length) list.textContent = "–";
    row.append(name, cell(power(feeder.head_power_w), "number power"), cell(arrow, "direction"), cell(share, "number"),
      cell(feeder.data_completeness_pct === undefined ? "–" : feeder.data_completeness_pct.toFixed(0) + " %", "number"),
      cell(clock(feeder.head_time)), cell(duration(feeder.age_s), "number"), list);
    row.addEventListener("click", () => choose(feeder.id));
    return row;
  });
  body.replaceChildren(...rows);
  // Without scrolling: somebody may be reading further down.
  if (focused) body.querySelector(`button[data-feeder="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  byId("feeders-title").textContent = mine.length === feeders.length ? `Feeders (${feeders.length})` : `Feeders of ${deskName()} (${mine.length} of ${feeders.length})`;
  const wanted = new URLSearchParams(location.search).get("feeder");
  if (!chosen && feeders.length) choose((feeders.find(f => f.id === wanted) ?? mine[0] ?? feeders[0]).id);
}

// MARK: chart
async function choose(id) {
  chosen = id;
  showFeeders(); showAdvisories();
  byId("chart-title").replaceChildren(`Power at the head of ${id}`);
  byId("past").href = `/profile.html?feeder=${encodeURIComponent(id)}`;
  byId("past").hidden = false;
  points = { feeder: id, x: [], y: [], live: [] };
  await past();
  await expect();
}

/**
 * What was measured before the page was there, or while it was not connected. Live points come meanwhile: they are kept,
 * and follow what is stored.
 */
async function past() {
  const mine = points;
  let items = null;
  try { items = (await ask(`/v1/feeders/${encodeURIComponent(mine.feeder)}/profile?bucket=1m&quantity=net_w`)).items; } catch { /* the banner tells of a lost service; asked again when it is back */ }
  if (points !== mine) return;
  if (items) {
    mine.x = items.map(row => Date.parse(row.time) / 1000 + 30);
    mine.y = items.map(row => row.net_w ?? null);
    for (const [x, y] of mine.live) follows(x, y);
  }
  draw();
}

/** One more point behind the others; over a silence the line is broken. */
function follows(x, y) {
  const last = points.x.at(-1) ?? -Infinity;
  if (x <= last) return;
  if (x - last > 90 && points.x.length) { points.x.push(last + 1); points.y.push(null); }
  points.x.push(x); points.y.push(y);
}

/** The next hour of the chosen feeder. There is none while its head is not measured, and none is shown that is old. */
async function expect() {
  const id = chosen;
  let made = null;
  asked = Date.now();
  try { made = await ask(`/v1/feeders/${encodeURIComponent(id)}/forecast`); } catch { /* none */ }
  if (chosen !== id) return;
  forecast = made;
  draw();
}

/** A new one comes every five minutes of the data, which a replay passes faster. */
setInterval(() => {
  const feeder = feeders.find(f => f.id === chosen);
  const due = !forecast?.made_at || Date.parse(feeder?.head_time) - Date.parse(forecast.made_at) > 330000;
  if (feeder && due && Date.now() - asked > (forecast?.made_at ? 2000 : 60000)) expect();
}, 1000);

function expected(feeder) {
  if (!forecast || forecast.feeder !== feeder.id || !forecast.horizons.length || !feeder.head_time) return null;
  // Made where the analysis stands, which waits for what comes late: what is left of the hour is still ahead.
  return Date.parse(forecast.horizons[3].time) > Date.parse(feeder.head_time) ? forecast : null;
}

function append() {
  const feeder = feeders.find(f => f.id === chosen);
  if (!feeder || !points || points.feeder !== chosen || feeder.head_power_w === undefined || feeder.direction === "unknown") return;
  const x = Date.parse(feeder.head_time) / 1000;
  if (x <= (points.live.at(-1)?.[0] ?? -Infinity)) return;
  points.live.push([x, feeder.head_power_w]);
  if (points.live.length > 6000) points.live.splice(0, 1000);
  follows(x, feeder.head_power_w);
  if (points.x.length > 9000) { points.x.splice(0, 1000); points.y.splice(0, 1000); }
  draw();
}

function hatch(context, colour) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const pen = tile.getContext("2d");
  pen.strokeStyle = colour; pen.lineWidth = 1.5;
  pen.beginPath(); pen.moveTo(-2, 10); pen.lineTo(10, -2); pen.moveTo(-2, 2); pen.lineTo(2, -2); pen.moveTo(6, 10); pen.lineTo(10, 6); pen.stroke();
  return context.createPattern(tile, "repeat");
}

function draw() {
  const feeder = feeders.find(f => f.id === chosen);
  if (!points || !feeder || typeof uPlot === "undefined") {
    if (typeof uPlot === "undefined") byId("chart-note").textContent = "The chart library is not installed: run scripts/install-dependencies.";
    return;
  }
  const limit = -feeder.reverse_limit_w;
  const ahead = expected(feeder), last = ahead && ahead.horizons[3];
  const next = last ? ` Dotted: expected, ${power(last.p50_w)} by ${last.time.slice(11, 16)}, with 90 % between ${power(last.p05_w)} and ${power(last.p95_w)} (at ${clock(ahead.made_at).slice(0, 5)}).` : "";
  byId("chart-note").textContent = `Now ${power(feeder.head_power_w)}; hatched below zero: reverse power. Dashed: reverse limit ${power(limit)}.${next} Times UTC.`;
  const low = Math.min(0, ...points.y.filter(v => v !== null)), showsLimit = low < 0.4 * limit;
  const end = points.x[points.x.length - 1] ?? 0;
  const coming = ahead ? ahead.horizons.map(h => [Date.parse(h.time) / 1000, h]).filter(([at]) => at > end) : [];
  const x = [...points.x, ...coming.map(([at]) => at)], none = coming.map(() => null);
  // What is expected begins where what is measured ends.
  const future = name => [...points.y.map((y, i) => coming.length && i === points.y.length - 1 ? y : null), ...coming.map(([, h]) => h[name])];
  const data = [x, [...points.y, ...none], [...points.y.map(v => v === null ? null : Math.min(v, 0)), ...none], x.map(() => showsLimit ? limit : null),
    future("p95_w"), future("p05_w"), future("p50_w")];
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink").trim(), quiet = style.getPropertyValue("--quiet").trim(), rule = style.getPropertyValue("--rule").trim();
  const box = byId("chart");
  // What is drawn, for who cannot see it.
  box.dataset.from = points.x.length ? new Date(points.x[0] * 1000).toISOString() : "";
  box.dataset.points = String(points.x.length);
  if (!points.x.length) {
    // An axis without a line would look like a feeder at zero.
    if (plot) { plot.chart.destroy(); plot = null; }
    byId("chart-note").textContent = `Nothing has been measured at the head of ${chosen} yet.`;
    return;
  }
  if (plot && plot.feeder === chosen && plot.shown === showsLimit) { plot.chart.setData(data); return; }
  if (plot) plot.chart.destroy();
  const axis = { stroke: quiet, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule } };
  const chart = new uPlot({
    width: Math.max(400, box.clientWidth), height: 340, tzDate: ts => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
    legend: { show: false }, cursor: { y: false },
    scales: { y: { range: (u, a, b) => { const span = Math.max(1000, Math.max(b, 0) - Math.min(a, 0)); return [Math.min(a, 0) - 0.06 * span, Math.max(b, 0) + 0.06 * span]; } } },
    axes: [{ ...axis, values: "{HH}:{mm}" }, { ...axis, size: 70, values: (u, ticks) => ticks.map(power) }],
    series: [{}, { stroke: ink, width: 1.5, points: { show: false } },
      { stroke: "transparent", fill: u => hatch(u.ctx, quiet), fillTo: 0, points: { show: false } },
      { stroke: quiet, dash: [6, 4], width: 1.5, points: { show: false } },
      { stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } },
      { stroke: ink, dash: [2, 4], width: 1.5, points: { show: false } }],
    bands: [{ series: [4, 5], fill: `${rule}80` }],
  }, data, box);
  plot = { chart, feeder: chosen, shown: showsLimit };
}
addEventListener("resize", () => { if (plot) plot.chart.setSize({ width: Math.max(400, byId("chart").clientWidth), height: 340 }); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (plot) { plot.chart.destroy(); plot = null; draw(); } });

// MARK: advisories
const ranks = ["unacknowledged_active", "latched_unacknowledged", "acknowledged_active", "latched_acknowledged", "unacknowledged_cleared"];
const isOpen = advisory => advisory.state.includes("unacknowledged");
const isSilenced = advisory => advisory.state === "shelved" || advisory.state === "out_of_service";

function order(a, b) {
  const rank = x => (ranks.indexOf(x.state) + 1) || 9;
  return rank(a) - rank(b) || a.severity - b.severity || (a.onset < b.onset ? 1 : -1);
}

/** The first act is a button of its own, the others stand in a list: a row stays one line high. */
function buttons(advisory) {
  const [first, ...others] = allowed(advisory);
  const button = el("button", { onclick: () => act(advisory, first), "data-advisory": advisory.id, "aria-label": `${acts[first][0].replace("…", "")}: ${advisory.message}` }, acts[first][0]);
  if (!others.length) return [button];
  const more = el("select", { "aria-label": `More: ${advisory.message}`, "data-advisory": advisory.id, onchange: event => {
    const chosenAct = event.target.value;
    event.target.value = "";
    if (chosenAct) act(advisory, chosenAct);
  } }, el("option", { value: "" }, "More"), ...others.map(name => el("option", { value: name }, acts[name][0])));
  return [button, " ", more];
}

function advisoryRow(advisory, children) {
  const severity = cell(severityText(advisory.severity), `severity s${advisory.severity}`);
  const text = el("td", { class: isOpen(advisory) ? "unacknowledged" : "" },
    el("a", { href: pageOf(advisory) }, advisory.message), advisory.uncertain ? " (uncertain: data is missing)" : null);
  const above = advisory.parent && advisories.get(advisory.parent);
  if (above) text.append(el("span", { class: "quiet" }, " Part of: ", el("a", { href: pageOf(above) }, above.message)));
  text.append(el("span", { class: "response" }, advisory.response));
  if (children.length) {
    text.append(el("details", { open: opened.has(advisory.id), ontoggle: event => { if (event.target.open) opened.add(advisory.id); else opened.delete(advisory.id); } },
      el("summary", {}, `and ${children.length} that ${children.length === 1 ? "is" : "are"} part of it`),
      el("ul", {}, ...children.map(child => el("li", {}, `${shapes[child.severity]} ${child.severity} `, el("a", { href: pageOf(child) }, child.message))))));
  }
  return el("tr", { "data-advisory": advisory.id }, severity, text, cell(advisory.feeder), el("td", { title: localTime(advisory.onset) }, advisory.onset.slice(5, 16).replace("T", " ")),
    cell(amount(advisory.peak.value, advisory.peak.unit), "number"), cell(stateText(advisory) + (advisory.occurrence > 1 ? `; ${advisory.occurrence} times` : "")), el("td", { class: "acts" }, ...buttons(advisory)));
}

const opened = new Set();

/** Every word of the filter stands somewhere in it, or in what is part of it. */
function matches(advisory, children = []) {
  if (children.some(child => matches(child))) return true;
  const text = [advisory.message, advisory.feeder, advisory.element, advisory.kind, advisory.detector, advisory.cause ?? ""].join(" ").toLowerCase();
  return byId("filter").value.toLowerCase().split(/\s+/).every(word => text.includes(word));
}

/** How many stand above it. */
function depth(advisory, most = 3) {
  const above = most > 0 ? advisories.get(advisory.parent) : null;
  return above ? 1 + depth(above, most - 1) : 0;
}

function showAdvisories() {
  const everywhere = [...advisories.values()].filter(a => a.state !== "closed");
  const all = everywhere.filter(a => atDesk(a.feeder));
  const children = new Map();
  for (const advisory of all) if (advisory.parent) children.set(advisory.parent, [...(children.get(advisory.parent) ?? []), advisory]);
  const silenced = all.filter(isSilenced);
  const below = (id, most = 3) => (most ? children.get(id) ?? [] : []).flatMap(child => [child, ...below(child.id, most - 1)]);
  const isWanted = a => (byId("notes").checked || a.severity < 4) && (byId("silenced").checked || !isSilenced(a))
    && (!byId("only-feeder").checked || a.feeder === chosen) && matches(a, below(a.id));
  // What is part of another stands with it, where that is shown. Where it is not, or where the part calls by itself, it has a row.
  const shown = [], inRows = new Set();
  const parts = all.filter(a => a.state === "suppressed").sort((a, b) => depth(a) - depth(b));
  for (const a of [...all.filter(a => a.state !== "suppressed"), ...parts]) {
    const isInside = a.state === "suppressed" && inRows.has(a.parent);
    if (!isInside && isWanted(a)) shown.push(a);
    if (isInside || isWanted(a)) inRows.add(a.id);
  }
  shown.sort(order);
  const body = byId("advisories").tBodies[0];
  const focused = document.activeElement?.dataset?.advisory, tag = document.activeElement?.tagName;
  body.replaceChildren(...shown.slice(0, 200).map(advisory => advisoryRow(advisory, below(advisory.id))));
  if (focused) body.querySelector(`${tag === "SELECT" ? "select" : "button"}[data-advisory="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  byId("none").hidden = shown.length > 0;
  // None is said only where there is none: what the filters hide is counted.
  const serious = all.filter(a => a.is_active && a.severity <= 2).length;
  byId("none").textContent = all.length
    ? `None of the ${all.length} open advisories${deskName() ? ` at ${deskName()}` : ""} is shown with these filters${serious ? `; ▲ ${serious} of them ${serious > 1 ? "are" : "is"} active and of severity 1 or 2` : ""}.`
    : `No open advisory${deskName() ? ` at ${deskName()}` : ""}. This holds only while the heartbeat is fresh.`;
  // A desk is a view of one's own work, never of the whole: what the others have is always counted.
  const others = everywhere.filter(a => !atDesk(a.feeder) && a.is_active && a.state !== "suppressed");
  byId("elsewhere").hidden = !deskName();
  byId("elsewhere").textContent = `At other desks, active: ${[1, 2, 3].map(s => `${shapes[s]}${s} ${others.filter(a => a.severity === s).length}`).join("  ")}; not acknowledged: ${others.filter(a => isOpen(a) && a.severity < 4).length}.`;
  byId("silenced-label").textContent = `shelved, out of service (${silenced.length})`;
  const active = all.filter(a => a.is_active && a.state !== "suppressed");
  const counts = [1, 2, 3, 4].map(s => `${shapes[s]}${s} ${active.filter(a => a.severity === s).length}`).join("  ");
  byId("counts").textContent = `active: ${counts}; not acknowledged: ${all.filter(a => isOpen(a) && a.severity < 4).length}${silenced.length ? `; silenced: ${silenced.length}` : ""}`;
  byId("advisories-title").textContent = `Advisories (${shown.length}${shown.length > 200 ? ", first 200 shown" : ""})`;
  ring(all);
}

async function act(advisory, name) {
  const refusal = byId("refusal");
  refusal.hidden = true;
  try {
    const result = await perform(advisory, name, byId("actor").value.trim());
    if (!result) return;
    know(result);
    showAdvisories();
  } catch (error) {
    refusal.textContent = `Not done: ${error.message}`;
    refusal.hidden = false;
    loadAdvisories();
  }
}

// MARK: sound
/** Versions that were heard: what came while the page was not connected, or the sound was off, is heard once it is back. */
const heard = new Map();
let audio = null;

function ring(all) {
  const urgent = all.filter(a => a.state === "unacknowledged_active" && a.severity <= 2);
  if (!byId("sound").checked || !audio) return;
  const fresh = urgent.filter(a => heard.get(a.id) !== `${a.severity} ${a.occurrence}`);
  for (const a of fresh) heard.set(a.id, `${a.severity} ${a.occurrence}`);
  for (const id of heard.keys()) if (!urgent.some(a => a.id === id)) heard.delete(id);
  if (!fresh.length) return;
  const beeps = fresh.some(a => a.severity === 1) ? 3 : 1;
  document.body.dataset.rung = String(Number(document.body.dataset.rung ?? 0) + 1);
  for (let n = 0; n < beeps; n++) {
    const tone = audio.createOscillator(), gain = audio.createGain();
    const at = audio.currentTime + n * 0.35;
    tone.frequency.value = 880;
    gain.gain.setValueAtTime(0.2, at); gain.gain.setTargetAtTime(0, at + 0.2, 0.02);
    tone.connect(gain).connect(audio.destination);
    tone.start(at); tone.stop(at + 0.3);
  }
}

// Browsers play only what somebody has asked for.
byId("sound").addEventListener("change", event => {
  if (event.target.checked) { audio ??= new AudioContext(); audio.resume(); }
  showAdvisories();
});

/** What came while a list was being loaded: the list may be older, and must not take it away again. */
let arrived = null;

function know(advisory) {
  advisories.set(advisory.id, advisory);
  arrived?.set(advisory.id, advisory);
}

async function loadAdvisories() {
  let cursor = "0";
  const found = new Map(), late = new Map();
  arrived = late;
  try {
    while (cursor !== null) {
      const page = await ask(`/v1/advisories?state=open&limit=1000&cursor=${cursor}`);
      for (const advisory of page.items) found.set(advisory.id, advisory);
      cursor = page.next;
    }
    for (const [id, advisory] of late) if ((found.get(id)?.version ?? -1) < advisory.version) found.set(id, advisory);
    // A later load has the word, with what came meanwhile.
    if (arrived !== late) return;
    arrived = null;
    advisories = found;
    showAdvisories();
  } catch { /* the banner tells */ }
}

// Worst values become worse without an event: nobody is called for it, and who looks sees it within a minute.
setInterval(loadAdvisories, 60_000);

// MARK: rates
const levels = { acceptable: "acceptable", manageable: "manageable", high: "▲ more than can be looked at", flood: "■ FLOOD" };

async function loadRates() {
  let desks;
  try { desks = (await ask("/v1/advisory-rates")).items; } catch { return; }
  byId("rates-now").textContent = "Rates: " + desks.map(d => `${d.desk} ${d.rates.new_10_min} new in 10 min, ${levels[d.rates.level]}`).join("; ");
  const flooded = desks.filter(d => d.flood_since);
  byId("flood").hidden = !flooded.length;
  byId("flood").textContent = flooded.map(d => `Flood of advisories at desk ${d.desk} since ${clock(d.flood_since)} UTC: only severity 1 and 2, and what has others as its parts, asks for attention. The rest is listed below.`).join(" ");
  byId("rates").tBodies[0].replaceChildren(...desks.map(d => {
    const r = d.rates, w = r.acknowledged_serious;
    const sources = r.top_sources.slice(0, 3).map(s => `${s.element} ${s.kind} ${s.count} (${Math.round(s.share_pct)} %)`).join(", ");
    return el("tr", {}, cell(d.desk), cell(`${r.new_10_min} (${levels[r.level]})`, "number"), cell(String(r.new_1_h), "number"), cell(String(r.new_24_h), "number"), cell(String(r.max_10_min), "number"),
      cell(["1", "2", "3"].map(s => `${shapes[s]}${d.standing[s]}`).join(" "), "number"), cell(String(d.unacknowledged), "number"), cell(String(d.stale), "number"),
      cell(w.count ? `${duration(w.median_s)}, ${duration(w.p90_s)} (${w.count})` : "–"), cell(sources || "–"));
  }));
}
setInterval(loadRates, 10_000);
loadRates();

// MARK: stream
let due = 0;
function soon() { if (!due) due = setTimeout(() => { due = 0; showAdvisories(); }, 150); }

follow({
  // While it was not connected something was measured, too.
  open: () => { loadAdvisories(); if (points) past(); },
  feeders: list => {
    if (list.stale) return;
    feeders = list.items; showFeeders(); append();
  },
  advisory: event => { know(event.data); soon(); },
});

// MARK: keys
/** In the list: up and down go from row to row, letters act on the row; everywhere: / filters, ? tells. */
const keys = { a: "acknowledge", s: "shelve", c: "comment", r: "reset", u: "unshelve" };

addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select, dialog *")) return;
  if (event.key === "/") { event.preventDefault(); byId("filter").focus(); return; }
  if (event.key === "?") { byId("keys").open = !byId("keys").open; return; }
  const rows = [...byId("advisories").tBodies[0].rows];
  const row = event.target.closest?.("#advisories tbody tr");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (!row && (!rows.length || event.target !== document.body)) return;
    event.preventDefault();
    const next = row ? rows[rows.indexOf(row) + (event.key === "ArrowDown" ? 1 : -1)] : rows[0];
    (next ?? row).querySelector("td.acts button").focus();
    return;
  }
  const advisory = row && advisories.get(row.dataset.advisory), name = keys[event.key];
  if (advisory && name && allowed(advisory).includes(name)) { event.preventDefault(); act(advisory, name); }
});

byId("filter").addEventListener("input", showAdvisories);
byId("by-name").addEventListener("change", showFeeders);
byId("notes").addEventListener("change", showAdvisories);
byId("only-feeder").addEventListener("change", showAdvisories);
byId("silenced").addEventListener("change", showAdvisories);
Promise.all([controlRoom(), rememberName(byId("actor"))]).then(([room, who]) => {
  fillDesks(room.desks, who?.desks ?? [], () => { showFeeders(); showAdvisories(); });
}).catch(() => { /* the banner tells; without desks everything is shown */ });
