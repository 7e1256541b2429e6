// Follows the decisions of the list: lines come from the server as they are printed there.
"use strict";

const list = document.querySelector("[data-live]");
const said = document.getElementById("live-said");
const ANNOUNCE_MS = 3000;
let fresh = 0;
let leftOut = 0;

function announce() {
  if (fresh === 0 && leftOut === 0) return;
  const lost = leftOut ? ` Up to ${leftOut} were left out: this page read too slowly, or was away.` : "";
  said.textContent = `${fresh} new ${fresh === 1 ? "decision" : "decisions"}.${lost}`;
  fresh = leftOut = 0;
}

function show(html) {
  const body = list.querySelector("tbody");
  const parsed = new DOMParser().parseFromString(`<table><tbody>${html}</tbody></table>`, "text/html");
  const lines = [...parsed.querySelectorAll("tbody > tr")];
  lines.forEach((line) => line.classList.add("fresh"));
  body.prepend(...lines);
  fresh += lines.length;
  while (body.rows.length > Number(list.dataset.rows)) {
    const last = body.rows[body.rows.length - 1];
    if (last.contains(document.activeElement)) break;
    last.remove();
  }
}

if (list) {
  const source = new EventSource(list.dataset.live);
  source.addEventListener("decisions", (event) => show(event.data));
  source.addEventListener("left-out", (event) => { leftOut += Number(event.data); });
  source.onopen = () => { said.textContent = "Following: new decisions appear on top."; };
  source.onerror = () => {
    said.textContent = source.readyState === EventSource.CLOSED
      ? "Following has ended: reload the page."
      : "The connection is lost; it comes back by itself.";
  };
  setInterval(announce, ANNOUNCE_MS);
}
