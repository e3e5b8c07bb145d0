// Words about advisories, and what may be done with one: for the list, for the page of one, for the shift.
"use strict";
import { ask, controlRoom, duration, moment, power, question } from "./common.js";

export const words = { 1: "URGENT", 2: "HIGH", 3: "MEDIUM", 4: "NOTE" };
export const shapes = { 1: "■", 2: "▲", 3: "◆", 4: "○" };
export const states = {
  unacknowledged_active: "active, not acknowledged", acknowledged_active: "active, acknowledged",
  unacknowledged_cleared: "over, not acknowledged", latched_unacknowledged: "over, latched, not acknowledged",
  latched_acknowledged: "over, latched: to be reset", shelved: "shelved", suppressed: "part of another",
  out_of_service: "out of service", closed: "closed",
};

/** Without load there is no ratio to it: what is stored then stands for all that is larger, and is no number to be told. */
const largestRatio = 100;

/** A value with the unit that it is read in. */
export function amount(value, unit) {
  if (value === null || value === undefined) return "–";
  if (unit === "1" && value > largestRatio) return `more than ${largestRatio}`;
  return unit === "W" ? power(value) : unit === "W/min" ? power(value) + "/min" : unit === "pu" ? value.toFixed(4) + " pu"
    : unit === "s" ? duration(value) : value.toFixed(2) + (unit === "1" ? "" : " " + unit);
}

/** What may be done with an advisory: word, path, what is asked, and the body of it. */
const hold = (text, seconds) => ({
  text, fields: [{ name: "minutes", label: `Minutes, at most ${seconds / 60}`, type: "number", value: Math.min(60, seconds / 60) }, { name: "reason", label: "Reason" }],
});
const timed = given => ({ for_s: Number(given.minutes) * 60, reason: given.reason });
/** What samples that came late change, in words. */
export function amendmentText({ change, said, before, after }) {
  if (change === "withdrawn") return "Taken back: with still more late samples it is as it was said.";
  if (change === "gone") return "It would not have been raised.";
  if (change === "new") return `Not raised at the time: ${after.message} Since ${moment(after.onset)}, ${after.cleared_at ? `cleared ${moment(after.cleared_at)}` : "not cleared yet"}.`;
  const lines = [];
  for (const [name, key] of [["since", "onset"], ["raised", "raised_at"], ["cleared", "cleared_at"]]) {
    if (before[key] !== after[key]) lines.push(`${name} ${after[key] ? moment(after[key]) : "not yet"} (said: ${before[key] ? moment(before[key]) : "not yet"})`);
  }
  if (before.severity !== after.severity) lines.push(`severity ${after.severity} (said: ${before.severity})`);
  if (before.peak.value !== after.peak.value) lines.push(`worst ${amount(after.peak.value, after.peak.unit)} at ${moment(after.peak.at)} (said: ${amount(before.peak.value, before.peak.unit)})`);
  if (before.cause !== after.cause) lines.push(`cause ${after.cause ?? "unknown"} (said: ${before.cause ?? "unknown"})`);
  return lines.length ? `${lines.join("; ")}.` : said.join("; ");
}

export const acts = {
  acknowledge: ["Acknowledge", null, (given, advisory) => ({ version: advisory.version })],
  shelve: ["Shelve…", (advisory, limits) => hold("It is silent until then, and goes on counting for switching plans.", advisory.severity === 2 ? limits.shelf_high_s : limits.shelf_s), timed],
  unshelve: ["Unshelve", null, () => ({})],
  reset: ["Reset", null, () => ({})],
  comment: ["Comment…", () => ({ fields: [{ name: "reason", label: "Comment" }] }), given => given],
  out_of_service: ["Out of service…", (advisory, limits) => hold("It is not looked at until then, and counts as unknown for switching plans. Somebody else agrees to it with the same act.", limits.out_of_service_s), timed],
  return_to_service: ["Return to service", null, () => ({})],
};

export function allowed(advisory) {
  const held = advisory.held?.is_proposed ? ["out_of_service"] : [];
  switch (advisory.state) {
    case "unacknowledged_active": case "unacknowledged_cleared": return ["acknowledge", ...(advisory.severity > 1 ? ["shelve"] : []), "comment", "out_of_service"];
    case "acknowledged_active": return [...held, ...(advisory.severity > 1 ? ["shelve"] : []), "comment", ...(held.length ? [] : ["out_of_service"])];
    case "latched_unacknowledged": return ["acknowledge", "comment"];
    case "latched_acknowledged": return ["reset", "comment"];
    case "shelved": return ["unshelve", "comment"];
    case "out_of_service": return ["return_to_service", "comment"];
    default: return ["comment"];
  }
}

export function stateText(advisory) {
  const held = advisory.held;
  if (!held) return states[advisory.state] + (advisory.acknowledged_by ? ` by ${advisory.acknowledged_by}` : "");
  if (held.is_proposed) return `${states[advisory.state]}; out of service proposed by ${held.by}: ${held.reason}`;
  return `${states[advisory.state]} until ${moment(held.until)} by ${held.by}: ${held.reason}${advisory.is_active ? "" : " (condition over)"}`;
}

/** Does one act, after asking what it needs; the changed advisory, or null when nobody wanted it. */
export async function perform(advisory, name, actor) {
  const [word, asks, make] = acts[name];
  const given = asks ? await question({ title: `${word.replace("…", "")}: ${advisory.message}`, yes: word.replace("…", ""), ...asks(advisory, await controlRoom()) }) : {};
  if (!given) return null;
  const body = make(given, advisory);
  if (actor) body.actor = actor;
  return ask(`/v1/advisories/${encodeURIComponent(advisory.id)}/${name}`, "POST", body);
}

export const severityText = severity => `${shapes[severity]} ${severity} ${words[severity]}`;
export const pageOf = advisory => `/advisory.html?id=${encodeURIComponent(advisory.id ?? advisory)}`;
