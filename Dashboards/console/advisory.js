"use strict";
// One advisory: what it says, on what evidence, who did what with it, and which plans were judged with it.
import { acts, allowed, amendmentText, amount, pageOf, perform, severityText, stateText } from "./advisory-words.js";
import { ask, byId, cell, duration, el, follow, moment, power, rememberName } from "./common.js";

const id = new URLSearchParams(location.search).get("id") ?? "";
let advisory = null, chart = null;

const seconds = text => Date.parse(text) / 1000;

function pairs(list, entries) {
  list.replaceChildren(...entries.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function list(name, items) {
  byId(name).replaceChildren(...(items.length ? items : ["none"]).map(item => el("li", {}, item)));
}

function show() {
  document.title = `Backfeed: ${advisory.detector} ${advisory.element}`;
  byId("title").textContent = advisory.message;
  byId("severity").textContent = severityText(advisory.severity);
  byId("severity").className = `severity s${advisory.severity}`;
  byId("response").textContent = advisory.response;
  byId("state").textContent = stateText(advisory) + (advisory.uncertain ? "; uncertain: data is missing" : "");
  byId("acts").replaceChildren(...allowed(advisory).flatMap(name => [el("button", { onclick: () => act(name) }, acts[name][0]), " "]));
  pairs(byId("facts"), [
    ["Feeder", advisory.feeder], ["Element", advisory.element], ["Detector", `${advisory.detector} (${advisory.kind})`],
    ["Since", moment(advisory.onset)], ["Raised", moment(advisory.raised_at)], ["Ended", advisory.ended_at && moment(advisory.ended_at)],
    ["Cleared", advisory.cleared_at && moment(advisory.cleared_at)],
    ["Worst", `${amount(advisory.peak.value, advisory.peak.unit)} at ${moment(advisory.peak.at)}`],
    ["Limit", `${amount(advisory.limit.value, advisory.limit.unit)}: ${advisory.limit.source}`], ["Cause", advisory.cause],
    ["Confidence", advisory.confidence], ["Came", `${advisory.occurrence} time${advisory.occurrence > 1 ? "s" : ""}`],
    ["Version", String(advisory.version)], ["Data seen up to", moment(advisory.watermark)],
    ["Settings, network", `${advisory.evidence.settings_hash}, revision ${advisory.evidence.topology_revision}`],
  ]);
  byId("belongs").replaceChildren(...(advisory.parent ? ["Part of ", el("a", { href: pageOf(advisory.parent) }, advisory.parent)] : []));
  showEvidence();
  byId("contributors").tBodies[0].replaceChildren(...advisory.contributors.map(item => el("tr", {}, el("td", {}, el("a", { href: `/device.html?id=${encodeURIComponent(item.device)}` }, item.device)), cell(item.kind),
    cell(power(item.active_power_w), "number"), cell(item.share ? `${(item.share * 100).toFixed(1)} %` : "–", "number"))));
  list("parts", advisory.children.map(child => el("a", { href: pageOf(child) }, child)));
  list("plans", advisory.plans.map(plan => `${plan.plan}: ${plan.decision}, judged ${moment(plan.assessed_at)}`));
  const late = advisory.amendments;
  byId("late").hidden = !late.length;
  byId("late").querySelector("tbody").replaceChildren(...late.map(item => el("tr", {}, cell(moment(item.recorded_at)),
    cell(`${item.late.samples}, of ${moment(item.late.from)} to ${moment(item.late.until)}`), cell(amendmentText(item)), cell(moment(item.watermark)))));
  byId("history").tBodies[0].replaceChildren(...advisory.history.map(item => el("tr", {}, cell(moment(item.recorded_at)), cell(item.type), cell(item.actor),
    cell(severityText(item.severity), `severity s${item.severity}`), cell(item.state.replaceAll("_", " ")), cell(item.note ?? ""))));
}

// The last word of a note's name may be its unit.
const units = { w: "W", wh: "Wh", va: "VA", a: "A", pct: "%", pu: "pu", s: "s", min: "min" };

function noted(name, value) {
  const words = name.split("_");
  const unit = units[words.at(-1)];
  const plain = Number(value.toPrecision(4));
  if (!unit || words.length < 2) return [words.join(" "), String(plain)];
  return [words.slice(0, -1).join(" "), ["W", "pu"].includes(unit) ? amount(value, unit) : `${plain.toLocaleString("en", { useGrouping: false })} ${unit}`];
}

function showEvidence() {
  const { series, unit, bin_s, good_pct, usable_pct, missing_pct, notes } = advisory.evidence;
  byId("evidence-note").textContent = `${series.length} bins of ${duration(bin_s)}; good ${good_pct} %, questionable ${usable_pct} %, missing ${missing_pct} %. Dotted: since, raised, cleared. Dashed: the limit. Times UTC.`;
  pairs(byId("notes"), Object.entries(notes).map(([name, value]) => noted(name, value)));
  if (chart) { chart.destroy(); chart = null; }
  const box = byId("evidence");
  if (series.length < 2 || typeof uPlot === "undefined") {
    box.textContent = series.length < 2 ? "No series: what the text says decided." : "The chart library is not installed: run scripts/install-dependencies.";
    return;
  }
  box.textContent = "";
  const limit = advisory.limit.unit === unit ? advisory.limit.value : null;
  const x = series.map(point => seconds(point.time) + bin_s / 2);
  const style = getComputedStyle(document.documentElement);
  const [ink, quiet, rule] = ["--ink", "--quiet", "--rule"].map(name => style.getPropertyValue(name).trim());
  const axis = { stroke: quiet, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule } };
  const marks = [advisory.onset, advisory.raised_at, advisory.cleared_at].filter(Boolean).map(seconds);
  function drawMarks(u) {
    u.ctx.save();
    u.ctx.strokeStyle = ink;
    u.ctx.setLineDash([2, 4]);
    for (const mark of marks.filter(value => value >= u.scales.x.min && value <= u.scales.x.max)) {
      const place = u.valToPos(mark, "x", true);
      u.ctx.beginPath(); u.ctx.moveTo(place, u.bbox.top); u.ctx.lineTo(place, u.bbox.top + u.bbox.height); u.ctx.stroke();
    }
    u.ctx.restore();
  }
  chart = new uPlot({
    width: Math.max(360, box.clientWidth), height: 280, tzDate: ts => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"), legend: { show: false }, cursor: { y: false },
    axes: [{ ...axis, values: "{HH}:{mm}" }, { ...axis, size: 80, values: (u, ticks) => ticks.map(value => amount(value, unit)) }],
    series: [{}, { stroke: ink, width: 1.5, points: { show: series.length < 30 } }, { stroke: quiet, dash: [6, 4], width: 1.5, points: { show: false } }],
    hooks: { draw: [drawMarks] },
  }, [x, series.map(point => point.value), x.map(() => limit)], box);
}

async function act(name) {
  byId("refusal").hidden = true;
  try {
    if (!await perform(advisory, name, byId("actor").value.trim())) return;
  } catch (error) {
    byId("refusal").textContent = `Not done: ${error.message}`;
    byId("refusal").hidden = false;
  }
  await load();
}

let asked = 0;

async function load() {
  const mine = ++asked;
  try {
    const answer = await ask(`/v1/advisories/${encodeURIComponent(id)}`);
    // An older answer must not replace a newer one.
    if (mine !== asked) return;
    advisory = answer;
    show();
  } catch (error) { byId("title").textContent = `Not shown: ${error.message}`; }
}

follow({ open: load, advisory: event => { if (event.data.id === id || event.data.parent === id) load(); } });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (advisory) showEvidence(); });
addEventListener("resize", () => { if (chart) chart.setSize({ width: Math.max(360, byId("evidence").clientWidth), height: 280 }); });
rememberName(byId("actor"));
