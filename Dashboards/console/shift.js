"use strict";
// What a shift hands over: what came, what stands, what is silenced and until when, what people did.
import { amendmentText, pageOf, severityText, stateText } from "./advisory-words.js";
import { ask, byId, cell, duration, el, follow, moment, rememberName } from "./common.js";

/** All pages of a list, at most so many rows of the newest. */
async function all(path, most = 5000) {
  const items = [];
  for (let cursor = "0"; cursor && items.length < most;) {
    const page = await ask(`${path}&limit=1000&cursor=${cursor}`);
    items.push(...page.items);
    cursor = page.next;
  }
  return items;
}

const line = advisory => el("li", {}, el("span", { class: `severity s${advisory.severity}` }, severityText(advisory.severity)), " ",
  el("a", { href: pageOf(advisory) }, advisory.message), ` Since ${moment(advisory.onset)}; ${stateText(advisory)}.`);

function fill(list, items) { byId(list).replaceChildren(...(items.length ? items.map(line) : [el("li", {}, "none")])); }

let asked = 0;

async function load() {
  const mine = ++asked;
  const until = new Date(), from = new Date(until - Number(byId("hours").value) * 3600e3);
  const range = `from=${from.toISOString()}&until=${until.toISOString()}`;
  let open, came, desks, done, late;
  try {
    [open, came, desks, done, late] = await Promise.all([all("/v1/advisories?state=open"), all(`/v1/advisories?since=${from.toISOString()}`),
      ask(`/v1/advisory-rates?${range}`), all(`/v1/audit?${range}`),
      all(`/v1/amendments?since=${from.toISOString()}&until=${until.toISOString()}`, 300)]);
  } catch (error) {
    byId("failure").textContent = `Not known: ${error.message}`;
    byId("failure").hidden = false;
    return;
  }
  // An older answer must not replace a newer one.
  if (mine !== asked) return;
  byId("failure").hidden = true;
  const bySeverity = (a, b) => a.severity - b.severity || (a.onset < b.onset ? 1 : -1);
  const isSilenced = a => a.state === "shelved" || a.state === "out_of_service";
  const standing = open.filter(a => a.severity < 4 && a.state !== "suppressed" && !isSilenced(a)).sort(bySeverity);
  const silenced = open.filter(isSilenced).sort(bySeverity);
  const words = desks.items.map(({ desk, rates, unacknowledged, stale }) => `Desk ${desk}: at most ${rates.max_10_min} annunciated in 10 min; ${unacknowledged} not acknowledged, ${stale} older than a day; `
    + (rates.acknowledged_serious.count ? `severity 1 and 2 acknowledged within ${duration(rates.acknowledged_serious.median_s)} (median of ${rates.acknowledged_serious.count}).` : "no severity 1 or 2 acknowledged."));
  byId("text").textContent = `${moment(from.toISOString())} to ${moment(until.toISOString())} UTC. ${standing.length} stand, ${silenced.length} are silenced. ${words.join(" ")}`;
  fill("standing", standing);
  fill("silenced", silenced);
  const shown = came.filter(a => a.severity < 4 && a.state !== "suppressed").sort(bySeverity).slice(0, 300);
  byId("came").tBodies[0].replaceChildren(...shown.map(a => el("tr", {}, cell(severityText(a.severity), `severity s${a.severity}`),
    el("td", {}, el("a", { href: pageOf(a) }, a.message)), cell(a.feeder), cell(moment(a.onset)), cell(stateText(a)))));
  byId("late").hidden = !late.length;
  byId("late").querySelector("tbody").replaceChildren(...late.map(item => el("tr", {}, cell(moment(item.recorded_at)), cell(item.feeder),
    el("td", {}, item.advisory ? el("a", { href: pageOf(item.advisory) }, item.before.message) : `${item.kind.replaceAll("_", " ")} at ${item.element}`), cell(amendmentText(item)))));
  byId("did").tBodies[0].replaceChildren(...done.slice(-300).reverse().map(r => el("tr", {}, cell(moment(r.recorded_at)), cell(r.actor), cell(r.action), cell(r.subject))));
}

byId("hours").addEventListener("change", load);
byId("print").addEventListener("click", () => print());
let due = 0;
follow({ open: load, advisory: () => { if (!due) due = setTimeout(() => { due = 0; load(); }, 3000); } });
rememberName(byId("actor"));
