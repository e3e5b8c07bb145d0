"use strict";
// A feeder's past: its profile over any range, and what it says, each figure with the part of the range behind it.
import { ask, byId, cell, el, follow, power, rememberName } from "./common.js";

const charts = [];
const months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const toInput = date => date.toISOString().slice(0, 16).replace("T", " ");
// Text, not the browser's own field: that one shows the hours as the browser's language has them.
function instant(input) {
  const text = input.value.trim().replace("T", " ");
  if (!text) return null;
  const time = new Date(text.replace(" ", "T") + "Z");
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d$/.test(text) || isNaN(time)) throw new Error(`"${text}": expected a time as 2026-06-21 00:00`);
  return time;
}
const energy = wh => wh === undefined ? "n/a" : `${(wh / 1e6).toFixed(2)} MWh`;
const known = (value, text) => value === undefined || value === null ? "n/a" : text(value);

function colours() {
  const style = getComputedStyle(document.documentElement);
  const [ink, quiet, rule] = ["--ink", "--quiet", "--rule"].map(name => style.getPropertyValue(name).trim());
  return { ink, quiet, axis: { stroke: quiet, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule } } };
}

function plot(id, options, data) {
  const box = byId(id);
  box.textContent = "";
  if (typeof uPlot === "undefined") { box.textContent = "The chart library is not installed: run scripts/install-dependencies."; return; }
  if (data[0].length < 2) { box.textContent = "Not enough data."; return; }
  const chart = new uPlot({ width: Math.max(360, box.clientWidth), legend: { show: false }, cursor: { y: false }, ...options }, data, box);
  charts.push([chart, box, options.height]);
}

/** The finest bucket of which the range has at most some two thousand. */
function bucketOf(from, until) {
  const minutes = (until - from) / 60e3;
  return [["1m", 1], ["5m", 5], ["15m", 15], ["1h", 60]].find(([, width]) => minutes / width <= 2000)?.[0] ?? "1d";
}

/** Counts what is asked for: an older answer must not stand under a newer feeder's name. */
let asked = 0;

async function showProfile(feeder, from, until, mine) {
  const bucket = bucketOf(from, until);
  const query = `/v1/feeders/${encodeURIComponent(feeder)}/profile?from=${from.toISOString()}&until=${until.toISOString()}&bucket=${bucket}&view=${byId("view").value}&quantity=net_w,native_w,pv_w`;
  byId("csv").href = query + "&format=csv";
  byId("csv").download = `${feeder}.csv`;
  const other = byId("beside").value;
  const [{ items }, beside] = await Promise.all([ask(query), other ? ask(query.replace(`/${encodeURIComponent(feeder)}/`, `/${encodeURIComponent(other)}/`)) : null]);
  if (mine !== asked) return;
  const { ink, quiet, axis } = colours();
  byId("chart-note").textContent = `Means of ${bucket}. Solid: net at the head, below zero is reverse power. Dashed: native load. Dotted: PV, ${byId("view").value === "normal" ? "of all that belong here as normally switched" : "of all that are fed from here"}.${other ? ` Thick and pale: net of ${other}.` : ""} Times UTC. Drag to zoom, double-click for all of it.`;
  // The same buckets of both, by time: one may have what the other lacks.
  const theirs = new Map((beside?.items ?? []).map(row => [row.time, row.net_w]));
  const own = new Map(items.map(row => [row.time, row]));
  const times = [...new Set([...own.keys(), ...theirs.keys()])].sort();
  plot("profile-chart", {
    height: 260, tzDate: ts => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
    axes: [{ ...axis, values: until - from > 2 * 86400e3 ? "{MM}-{DD}\n{HH}:{mm}" : "{HH}:{mm}" }, { ...axis, size: 70, values: (u, ticks) => ticks.map(power) }],
    series: [{}, { stroke: ink, width: 1.5, points: { show: false } }, { stroke: quiet, width: 1.5, dash: [6, 4], points: { show: false } }, { stroke: quiet, width: 1.5, dash: [2, 3], points: { show: false } },
      { stroke: `${quiet}80`, width: 4, points: { show: false } }],
  }, [times.map(time => Date.parse(time) / 1000), ...["net_w", "native_w", "pv_w"].map(name => times.map(time => own.get(time)?.[name] ?? null)), times.map(time => theirs.get(time) ?? null)]);
}

function showFigures(s) {
  const at = point => known(point, p => `${power(p.w)}, ${p.at.slice(0, 16).replace("T", " ")}`);
  const ratio = (value, digits = 2) => known(value, v => v.toFixed(digits));
  const share = value => known(value, v => `${v.toFixed(1)} %`);
  const rows = [
    ["Net energy", energy(s.load.net_energy_wh), s.load.completeness_pct], ["Native energy", energy(s.load.native_energy_wh), s.minimum_load.completeness_pct],
    ["Net peak", at(s.load.net_peak)], ["Net minimum", at(s.load.net_minimum)], ["Load factor", ratio(s.load.load_factor, 3)], ["Native load that is estimated", share(s.load.estimated_pct)],
    ["Minimum daytime load, 10 to 14 h", known(s.minimum_load.w, power), s.minimum_load.completeness_pct], ["The same on clear spring days", known(s.minimum_load.clear_spring_w, power)], ["DER rating over it", ratio(s.minimum_load.generation_load_ratio)],
    ...s.screens.map(screen => [screen.name, `${known(screen.exceeded, is => is ? "exceeded" : "kept")}: ${known(screen.rating_w, power)} of ${known(screen.limit_w, power)}`]),
    ["Reverse flow", `${known(s.reverse.hours, h => `${h.toFixed(2)} h`)}, ${energy(s.reverse.energy_wh)}`, s.reverse.completeness_pct], ["Reverse peak", at(s.reverse.peak)],
    ...s.ramps.map(ramp => [`Change in ${ramp.minutes} min, 1 % and 99 %`, `${known(ramp.down_w, power)}, ${known(ramp.up_w, power)}`, ramp.completeness_pct]),
    ["PV energy", energy(s.pv.energy_wh), s.pv.completeness_pct], ["PV capacity factor", ratio(s.pv.capacity_factor, 3)], ["PV of native energy", share(s.pv.energy_penetration_pct)],
    ["EV coincidence", ratio(s.ev_chargers.coincidence), s.ev_chargers.completeness_pct],
    ["EN 50160, weeks of points", `${s.voltage.passed} pass, ${s.voltage.failed} fail, ${s.voltage.not_assessable} not assessable`],
  ];
  byId("figures").tBodies[0].replaceChildren(...rows.map(([name, value, valid]) => el("tr", {}, cell(name), cell(value, "number wrap"), cell(valid === undefined ? "" : `${valid} %`, "number"))));
}

function showDuration(points) {
  const { ink, quiet, axis } = colours();
  plot("duration-chart", {
    height: 200, scales: { x: { time: false } }, axes: [{ ...axis, values: (u, ticks) => ticks.map(tick => `${tick} %`) }, { ...axis, size: 70, values: (u, ticks) => ticks.map(power) }],
    series: [{}, { stroke: ink, width: 1.5, points: { show: true } }, { stroke: quiet, width: 1.5, dash: [6, 4], points: { show: true } }],
  }, [points.map(p => p.pct), points.map(p => p.net_w), points.map(p => p.native_w)]);
}

/** Days, months and skies to choose from, each with its days; what there is too little of cannot be chosen. */
let shapes = [];
function fillShapes(statistics) {
  shapes = [...statistics.day_shapes, ...statistics.seasonal_shapes];
  const best = statistics.day_shapes.reduce((best, each) => !best || each.days > best.days ? each : best, null);
  if (!shapeOf() && best) { byId("day-type").value = best.day_type; byId("season").value = byId("sky").value = ""; }
  showShape();
}
const shapeOf = (type = byId("day-type").value, season = byId("season").value, sky = byId("sky").value) =>
  shapes.find(each => each.day_type === type && (each.season ?? "") === season && (each.sky ?? "") === sky);

function showShape() {
  for (const each of byId("day-type").options) each.disabled = !shapeOf(each.value, "", "");
  for (const each of byId("season").options) each.disabled = !shapeOf(undefined, each.value, "");
  for (const each of byId("sky").options) each.disabled = !shapeOf(undefined, undefined, each.value);
  const shape = shapeOf();
  charts.filter(([, box]) => box.id === "shape-chart").forEach(([chart]) => chart.destroy());
  charts.splice(0, charts.length, ...charts.filter(([, box]) => box.id !== "shape-chart"));
  byId("shape-note").textContent = shape ? `Median net load of ${shape.days} day${shape.days > 1 ? "s" : ""}, dashed P10 and P90; local time.`
    + (shape.reversal_from ? ` Reverse from ${shape.reversal_from} to ${shape.reversal_until}.` : "") : "No such day, or fewer than three.";
  const { ink, quiet, axis } = colours();
  const band = { stroke: quiet, width: 1, dash: [6, 4], points: { show: false } };
  plot("shape-chart", {
    height: 200, scales: { x: { time: false } }, axes: [{ ...axis, values: (u, ticks) => ticks.map(tick => `${tick} h`) }, { ...axis, size: 70, values: (u, ticks) => ticks.map(power) }],
    series: [{}, band, { stroke: ink, width: 1.5, points: { show: false } }, band],
  }, shape ? [shape.median_w.map((_, quarter) => quarter / 4), shape.p10_w, shape.median_w, shape.p90_w] : [[]]);
}

function showReverse(reverse) {
  const cells = reverse.by_month_hour, most = Math.max(0, ...cells.map(c => c.hours));
  byId("reverse-note").textContent = reverse.hours === undefined ? `n/a: only ${reverse.completeness_pct} % of the range is valid.`
    : cells.length ? "Hours with reverse flow; local time. Darker: more." : "No reverse flow.";
  byId("heat").tHead.replaceChildren(...(cells.length ? [el("tr", {}, el("th", { scope: "col" }, "Month"), ...Array.from({ length: 24 }, (_, hour) => el("th", { scope: "col", class: "number" }, String(hour))))] : []));
  byId("heat").tBodies[0].replaceChildren(...[...new Set(cells.map(c => c.month))].map(month => el("tr", {}, el("th", { scope: "row" }, months[month - 1]),
    ...Array.from({ length: 24 }, (_, hour) => {
      const found = cells.find(c => c.month === month && c.hour === hour);
      return cell(found && found.hours ? found.hours.toFixed(found.hours < 10 ? 2 : 0) : "", `number heat${found ? Math.ceil(found.hours / most * 4) : 0}`);
    }))));
}

async function show() {
  const mine = ++asked, feeder = byId("feeder").value;
  charts.splice(0).forEach(([chart]) => chart.destroy());
  byId("failure").hidden = true;
  document.title = `Backfeed: profile of ${feeder}`;
  try {
    const from = instant(byId("from")), until = instant(byId("until"));
    const range = [from && `from=${from.toISOString()}`, until && `until=${until.toISOString()}`].filter(Boolean).join("&");
    const statistics = await ask(`/v1/feeders/${encodeURIComponent(feeder)}/statistics?${range}`);
    if (mine !== asked) return;
    const [first, last] = [new Date(statistics.from), new Date(statistics.until)];
    byId("from").value = toInput(first); byId("until").value = toInput(last);
    history.replaceState(null, "", `?${new URLSearchParams({ feeder, from: toInput(first), until: toInput(last), ...(byId("beside").value ? { beside: byId("beside").value } : {}) })}`);
    showFigures(statistics); showDuration(statistics.load.duration); fillShapes(statistics); showReverse(statistics.reverse);
    await showProfile(feeder, first, last, mine);
  } catch (error) {
    if (mine !== asked) return;
    for (const id of ["profile-chart", "duration-chart", "shape-chart"]) byId(id).textContent = "";
    for (const id of ["figures", "heat"]) byId(id).tBodies[0].replaceChildren();
    for (const id of ["chart-note", "shape-note", "reverse-note"]) byId(id).textContent = "";
    byId("failure").textContent = `Not known: ${error.message}`;
    byId("failure").hidden = false;
  }
}

async function start() {
  const asked = new URLSearchParams(location.search);
  const { items } = await ask("/v1/feeders");
  byId("feeder").replaceChildren(...items.map(f => f.id).sort().map(id => el("option", { value: id }, id)));
  byId("beside").replaceChildren(el("option", { value: "" }, "none"), ...items.map(f => f.id).sort().map(id => el("option", { value: id }, id)));
  if (asked.has("beside")) byId("beside").value = asked.get("beside");
  if (asked.has("feeder")) byId("feeder").value = asked.get("feeder");
  for (const name of ["from", "until"]) if (asked.has(name)) byId(name).value = asked.get(name);
  await show();
}

byId("range").addEventListener("submit", event => { event.preventDefault(); show(); });
for (const id of ["feeder", "beside", "view"]) byId(id).addEventListener("change", show);
byId("shape").addEventListener("submit", event => event.preventDefault());
byId("day-type").addEventListener("change", () => { if (!shapeOf()) byId("season").value = byId("sky").value = ""; showShape(); });
byId("season").addEventListener("change", () => { if (!shapeOf()) byId("sky").value = ""; showShape(); });
byId("sky").addEventListener("change", showShape);
addEventListener("resize", () => charts.forEach(([chart, box, height]) => chart.setSize({ width: Math.max(360, box.clientWidth), height })));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
follow({});
rememberName(byId("actor"));
start().catch(error => { byId("failure").textContent = `Not known: ${error.message}`; byId("failure").hidden = false; });
