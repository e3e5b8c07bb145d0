// Which feeders a desk looks at: the filter of the first page.
"use strict";
import { byId, el } from "./common.js";

let desks = [];
const mine = "my desks";

/** Desks that are looked at now; none: all of them. */
let chosen = [];

/** What to call the desk that is looked at; empty: all of them. */
export const deskName = () => chosen.length ? `desk ${chosen.join(", ")}` : "";

/** What no desk names belongs to each of them, as with the service. */
export function atDesk(feeder) {
  if (!chosen.length) return true;
  return desks.some(desk => chosen.includes(desk.name) && desk.feeders?.includes(feeder)) || !desks.some(desk => desk.feeders?.includes(feeder));
}

/** The choice of desks, where there are several; an operator begins with the own ones. */
export function fillDesks(all, own, changed) {
  desks = all;
  if (desks.length < 2) return;
  const names = desks.map(desk => desk.name), known = own.filter(name => names.includes(name));
  const choices = new Map([["all", []], ...(known.length > 1 ? [[mine, known]] : []), ...names.map(name => [name, [name]])]);
  const select = byId("desk");
  select.replaceChildren(...[...choices.keys()].map(name => el("option", { value: name }, name)));
  const remembered = sessionStorage.getItem("desk");
  select.value = choices.has(remembered) ? remembered : known.length > 1 ? mine : known[0] ?? "all";
  chosen = choices.get(select.value);
  byId("desk-label").hidden = false;
  select.addEventListener("change", () => {
    chosen = choices.get(select.value);
    sessionStorage.setItem("desk", select.value);
    changed();
  });
  changed();
}
