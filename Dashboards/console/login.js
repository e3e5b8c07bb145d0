"use strict";
// Asks who somebody is; the service answers with a session in a cookie that no script can read.
import { ask, byId } from "./common.js";

byId("login").addEventListener("submit", async event => {
  event.preventDefault();
  const given = new FormData(event.target);
  byId("refusal").hidden = true;
  try {
    await ask("/v1/session", "POST", { user: given.get("user").trim(), password: given.get("password") });
    // Only to a page of this console, whatever the link says.
    const next = new URLSearchParams(location.search).get("next") ?? "/";
    location.assign(["/", "/switching.html"].includes(next) ? next : "/");
  } catch (error) {
    byId("refusal").textContent = error.message;
    byId("refusal").hidden = false;
    event.target.elements.password.value = "";
    event.target.elements.password.focus();
  }
});
