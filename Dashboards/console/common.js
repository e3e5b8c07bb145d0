// What every page of the console shares: words, numbers as a control room reads them, the link to the service.
"use strict";

export const byId = id => document.getElementById(id);

/** An element with attributes and children; text is always text, never markup. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name.startsWith("data-") || name.startsWith("aria-") || name === "role" || name === "for" || name === "list" || name === "colspan") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

export const cell = (text, className) => el("td", { class: className }, text);

export const power = watts => watts === null || watts === undefined ? "–"
  : Math.abs(watts) >= 1e6 ? (watts / 1e6).toFixed(2) + " MW" : Math.round(watts / 1e3) + " kW";
export const percent = value => value === null || value === undefined ? "–" : value.toFixed(1) + " %";
export const perUnit = value => value === null || value === undefined ? "–" : value.toFixed(4) + " pu";
export const clock = text => text ? text.slice(11, 19) : "–";
let zone = null, local = null;
/** The same moment by the clock on the wall, where that is not UTC: `05:44:56 Europe/Berlin`. */
export const localTime = time => local ? `${local.format(new Date(time))} ${zone}` : "";

export const moment = text => text ? text.slice(5, 19).replace("T", " ") : "–";
export const duration = s => s === null || s === undefined ? "–" : s < 100 ? s.toFixed(0) + " s" : s < 6000 ? Math.round(s / 60) + " min" : Math.round(s / 3600) + " h";

/** One request. What is refused is an error whose text is the service's own. */
export async function ask(path, method = "GET", body = undefined) {
  // The header proves that a page of ours asks: another site cannot send it.
  const options = { method, headers: { "X-Requested-With": "console" } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = typeof body === "string" ? body : JSON.stringify(body);
  }
  const answer = await fetch(path, options);
  const result = await answer.json();
  if (answer.status === 401 && path !== "/v1/session") toLogin();
  if (!answer.ok) throw new Error(result.detail);
  return result;
}

const toLogin = () => location.assign(`/login.html?next=${encodeURIComponent(location.pathname)}`);

/** The name that acts are recorded under: that of the account, or, without accounts, one that is asked for on every page. */
export async function rememberName(input) {
  input.value = sessionStorage.getItem("actor") ?? "";
  input.addEventListener("change", () => sessionStorage.setItem("actor", input.value.trim()));
  let who;
  try { who = await ask("/v1/session"); } catch { toLogin(); return; }
  if (!who.accounts) return who;
  input.value = who.user;
  input.closest("label").hidden = true;
  document.querySelector("header").append(el("p", { id: "account" }, `${who.user}, ${who.role}${who.desks.length ? ` of ${who.desks.join(", ")}` : ""} `, el("button", { onclick: async () => {
    await ask("/v1/session", "DELETE").catch(() => {});
    toLogin();
  } }, "Log out")));
  return who;
}

let room = null;

/** Desks with their feeders, and the longest times of what people do; asked for once. */
export function controlRoom() {
  room ??= ask("/v1/control-room").catch(error => { room = null; throw error; });
  return room;
}

function makeDialog() {
  const dialog = el("dialog", { id: "dialog", "aria-labelledby": "dialog-title" }, el("form", { method: "dialog" },
    el("h2", { id: "dialog-title" }), el("p", { id: "dialog-text" }), el("div", { id: "dialog-fields" }),
    el("div", { class: "bar left" }, el("button", { value: "yes", id: "dialog-yes" }), " ", el("button", { value: "no", formNoValidate: true }, "Back"))));
  document.body.append(dialog);
  return dialog;
}

/** Asks before an act; the values that were entered, or null. */
export function question({ title, text, fields = [], yes }) {
  const dialog = byId("dialog") ?? makeDialog();
  byId("dialog-title").textContent = title;
  byId("dialog-text").textContent = text ?? "";
  byId("dialog-yes").textContent = yes;
  byId("dialog-fields").replaceChildren(...fields.map(field => {
    const input = field.choices ? el("select", { name: field.name }, ...field.choices.map(([value, word]) => el("option", { value }, word)))
      : el("input", { name: field.name, type: field.type ?? "text", required: !field.optional, value: field.value ?? "", list: field.list, maxLength: 400 });
    return el("label", { class: "field" }, field.label, input);
  }));
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise(resolve => dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") { resolve(null); return; }
    resolve(Object.fromEntries([...byId("dialog-fields").querySelectorAll("input,select")].map(input => [input.name, input.value.trim()])));
  }, { once: true }));
}

/**
 * Follows the service's events. When nothing is heard for four seconds the page says so and dims, so that old values are
 * never taken for live ones.
 *
 * @param handlers functions by event name; `open` is called whenever the stream begins anew.
 */
export function follow(handlers) {
  addSearch();
  let stream = null, lastBeat = 0, store = null;
  function connect() {
    if (stream) stream.close();
    stream = new EventSource("/v1/events");
    stream.addEventListener("heartbeat", event => {
      lastBeat = performance.now();
      store = JSON.parse(event.data).store;
    });
    for (const [name, handle] of Object.entries(handlers)) {
      stream.addEventListener(name, event => handle(event.data ? JSON.parse(event.data) : null));
    }
  }
  setInterval(() => {
    const silent = (performance.now() - lastBeat) / 1000;
    const blind = store && !store.answers;
    const lost = silent > 4 || blind;
    document.body.classList.toggle("lost", lost);
    byId("lost").hidden = !lost;
    if (lost) byId("lost").textContent = silent > 4
      ? `Connection lost: nothing heard for ${Math.round(silent)} s. What stands below is old; nothing is known of the feeders now.`
      : `The service's database has not answered for ${Math.round(store.age_s)} s. What stands below is old; new advisories cannot be shown.`;
    if (silent > 4 && stream.readyState === EventSource.CLOSED) { connect(); ask("/v1/network").catch(() => {}); }
    const now = new Date();
    byId("clock").textContent = `${now.toISOString().slice(0, 19).replace("T", " ")} UTC${local ? `, ${localTime(now)}` : ""}`;
  }, 500);
  controlRoom().then(room => {
    if (room.time_zone === "UTC") return;
    zone = room.time_zone;
    local = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  }).catch(() => {});
  ask("/v1/network").then(n => { byId("network").textContent = `${n.id}, revision ${n.revision}`; }).catch(() => {});
  connect();
}

/** Where one looks at something that was found. */
const pageOf = item => item.kind === "feeder" ? `/?feeder=${encodeURIComponent(item.id)}`
  : item.kind === "device" ? `/device.html?id=${encodeURIComponent(item.id)}`
  : `/network.html?element=${encodeURIComponent(item.id)}`;

/** A field in the header of every page: part of a name, and what has it. `g` goes there. */
export function addSearch() {
  const list = el("ul", { id: "found", role: "listbox", "aria-label": "Found", hidden: true });
  let items = [], at = -1, number = 0;
  const input = el("input", { id: "search", type: "search", size: 14, maxLength: 64, placeholder: "Find", role: "combobox", "aria-label": "Find by name", title: "Feeder, device, switch or node",
    "aria-controls": "found", "aria-expanded": "false", "aria-autocomplete": "list", autocomplete: "off" });
  function show() {
    const open = items.length > 0 || (input.value.trim() !== "" && number > 0);
    list.hidden = !open;
    input.setAttribute("aria-expanded", String(open));
    if (at >= 0) input.setAttribute("aria-activedescendant", `found-${at}`); else input.removeAttribute("aria-activedescendant");
    list.replaceChildren(...(items.length ? items.map((item, n) => el("li", { id: `found-${n}`, role: "option", "aria-selected": String(n === at), onmousedown: () => location.assign(pageOf(item)) },
      `${item.id} `, el("span", { class: "quiet" }, item.kind + (item.feeder && item.kind !== "feeder" ? `, ${item.feeder}` : ""))))
      : [el("li", { role: "option", "aria-selected": "false", class: "quiet" }, "Nothing has that in its name.")]));
  }
  function close() { items = []; at = -1; number = 0; list.hidden = true; input.setAttribute("aria-expanded", "false"); input.removeAttribute("aria-activedescendant"); }
  let asked = 0;
  input.addEventListener("input", async () => {
    const text = input.value.trim(), mine = ++asked;
    if (!text) { close(); return; }
    try {
      const found = (await ask(`/v1/search?q=${encodeURIComponent(text)}&limit=12`)).items;
      // An older answer must not replace a newer one.
      if (mine !== asked) return;
      [items, at, number] = [found, found.length ? 0 : -1, 1];
      show();
    } catch { /* the banner tells of a lost service */ }
  });
  input.addEventListener("keydown", event => {
    if (event.key === "Escape") { input.value = ""; close(); return; }
    if (event.key === "Enter" && items[at]) { location.assign(pageOf(items[at])); event.preventDefault(); return; }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !items.length) return;
    event.preventDefault();
    at = (at + step + items.length) % items.length;
    show();
  });
  input.addEventListener("blur", close);
  document.addEventListener("keydown", event => {
    if (event.key !== "g" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName) || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    input.focus();
  });
  document.querySelector("header nav").after(el("div", { class: "search", role: "search" }, input, list));
}
