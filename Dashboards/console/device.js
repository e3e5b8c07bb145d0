"use strict";
// One device: what it is, where it hangs now, what it sends, what is said about it.
import { ask, byId, cell, duration, el, follow, moment, power, rememberName } from "./common.js";

const id = new URLSearchParams(location.search).get("id") ?? "";
const words = { pv: "PV", battery: "battery", ev_charger: "EV charger", wind: "wind", biomass: "biomass", hydro: "hydro", other: "other generator",
  feeder_head: "feeder head", voltage_meter: "voltage meter", switch: "switch" };
const marks = { 1: "■ 1 URGENT", 2: "▲ 2 HIGH", 3: "◆ 3 MEDIUM", 4: "○ 4 NOTE" };
let charts = [];

function facts(device) {
  const feeder = device.feeder ? el("a", { href: `/?feeder=${encodeURIComponent(device.feeder)}` }, device.feeder) : "none: nothing feeds it now";
  const isNetwork = ["feeder_head", "voltage_meter", "switch"].includes(device.kind);
  const rows = [["Kind", words[device.kind] ?? device.kind], ["Node", device.node + (device.lv_area ? ` (${device.lv_area})` : "")], ["Fed by now", feeder],
    ["In the normal state", device.normal_feeder || "none: at a busbar"], ["Energised by the switch positions", device.energised ? "yes" : "no"],
    ["Rating", device.rating_w ? power(device.rating_w) : "–"],
    [isNetwork ? "Power, away from the substation" : "Power, into the grid", device.active_power_w === undefined ? "nothing heard yet" : power(device.active_power_w)],
    ["Time of that", device.time ? `${moment(device.time)} UTC` : "–"], ["Heard", device.age_s === undefined ? "never since the service started" : `${duration(device.age_s)} ago`]];
  if (device.switch_position) rows.splice(1, 0, ["Position", device.switch_position]);
  byId("facts").replaceChildren(...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

function plot(box, name, values, format) {
  byId(box).textContent = "";
  const known = values[1].filter(v => v !== null).length;
  byId(box).hidden = known === 0;
  if (known === 0) return 0;
  if (typeof uPlot === "undefined") { byId(box).textContent = "The chart library is not installed: run scripts/install-dependencies."; return known; }
  const style = getComputedStyle(document.documentElement);
  const [ink, quiet, rule] = ["--ink", "--quiet", "--rule"].map(key => style.getPropertyValue(key).trim());
  const axis = { stroke: quiet, grid: { stroke: rule, width: 1 }, ticks: { stroke: rule } };
  charts.push([new uPlot({
    width: Math.max(360, byId(box).clientWidth), height: 220, title: name, legend: { show: false }, cursor: { y: false }, tzDate: ts => uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"),
    axes: [{ ...axis, values: "{HH}:{mm}" }, { ...axis, size: 80, values: (u, ticks) => ticks.map(format) }],
    series: [{}, { stroke: ink, width: 1.25, points: { show: false }, spanGaps: false }],
  }, values, byId(box)), box]);
  return known;
}

let drawn = false, asked = 0;

async function samples(device) {
  const mine = ++asked;
  const end = device.time ? new Date(Date.parse(device.time) + 1000) : new Date();
  const from = new Date(end - 86400e3);
  const path = `/v1/devices/${encodeURIComponent(id)}/samples?from=${from.toISOString()}&until=${end.toISOString()}`;
  byId("csv").href = `${path}&format=csv`;
  byId("csv").download = `${id}.csv`;
  const { items } = await ask(path);
  // An older answer must not replace a newer one.
  if (mine !== asked) return;
  drawn = true;
  charts.splice(0).forEach(([chart]) => chart.destroy());
  // Where it was silent the line is broken: nothing is known of the time between.
  const [x, y, volts] = [[], [], []];
  const steps = items.slice(1).map((row, n) => Date.parse(row.time) - Date.parse(items[n].time)).sort((a, b) => a - b);
  const usual = steps.length ? steps[steps.length >> 1] : 0;
  items.forEach((row, n) => {
    const time = Date.parse(row.time);
    if (n && time - Date.parse(items[n - 1].time) > 3 * usual + 1000) { x.push((Date.parse(items[n - 1].time) + usual) / 1000); y.push(null); volts.push(null); }
    x.push(time / 1000); y.push(row.active_power_w ?? null); volts.push(row.voltage_v ?? null);
  });
  plot("power-chart", "Power", [x, y], power);
  plot("voltage-chart", "Voltage", [x, volts], v => `${v.toFixed(v < 1000 ? 1 : 0)} V`);
  byId("chart-note").textContent = items.length
    ? `${items.length} samples from ${moment(items[0].time)} to ${moment(items[items.length - 1].time)} UTC, as they were sent; usually one every ${duration(usual / 1000)}. A gap: it was silent.`
    : "It sent nothing in that time.";
}

/** Whether a text names the device, and not one whose name only begins or ends like its own. */
const names = text => text.split(/[\s,;:()]+/).some(word => word === id || word.replace(/\.$/, "") === id);

async function about(device) {
  const { items } = await ask(`/v1/advisories?state=open&limit=1000${device.feeder ? `&feeder=${encodeURIComponent(device.feeder)}` : ""}`);
  const mine = items.filter(a => a.element === id || (a.contributors ?? []).some(c => c.device === id) || names(a.message));
  byId("about").tBodies[0].replaceChildren(...(mine.length ? mine.map(a => el("tr", {}, el("td", { class: `severity s${a.severity}` }, marks[a.severity]),
    el("td", {}, el("a", { href: `/advisory.html?id=${encodeURIComponent(a.id)}` }, a.message)), cell(moment(a.onset)), cell(a.state.replaceAll("_", " ")))) : [el("tr", {}, el("td", { colspan: 4, class: "quiet" }, "None is open."))]));
}

async function show(withPast) {
  try {
    const device = await ask(`/v1/devices/${encodeURIComponent(id)}`);
    byId("failure").hidden = true;
    facts(device);
    await about(device);
    if (withPast) await samples(device);
  } catch (error) {
    byId("failure").textContent = `Not known: ${error.message}`;
    byId("failure").hidden = false;
  }
}

document.title = `Backfeed: ${id}`;
byId("device-title").textContent = id;
addEventListener("resize", () => charts.forEach(([chart, box]) => chart.setSize({ width: Math.max(360, byId(box).clientWidth), height: 220 })));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show(true));
follow({ open: () => show(true) });
rememberName(byId("actor"));
// What the service could not tell at first is asked for again.
setInterval(() => show(!drawn), 5000);
