/** The script of all pages: search while one types, copy buttons, ages that count, states as they change. Pages work without it. */
import { MIRRORS_SCRIPT } from "./mirrors-script.ts";

export const PAGE_SCRIPT = `"use strict";
const { base } = document.documentElement.dataset;
const POLL_MS = 10_000;
const say = (text) => { document.getElementById("announcement").textContent = text; };

function describeAge(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return seconds + " s";
  if (seconds < 2 * 3600) return Math.round(seconds / 60) + " min";
  if (seconds < 2 * 86400) return Math.round(seconds / 3600) + " h";
  return Math.round(seconds / 86400) + " days";
}

// The server's clock counts: its page says how old each time is.
let clockAheadMs = 0;
function showAges() {
  for (const time of document.querySelectorAll("time[data-age]"))
    time.textContent = describeAge(Date.now() + clockAheadMs - Date.parse(time.dateTime)) + " ago";
}
setInterval(showAges, 1000);

async function copy(button) {
  const element = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(element.textContent);
  } catch {
    // Without TLS browsers have no clipboard: the text is selected instead.
    getSelection().selectAllChildren(element);
    say("Selected. Copy with the keyboard.");
    return;
  }
  button.textContent = "Copied";
  say("Copied");
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}

function showRepository(one) {
  const element = document.querySelector('[data-repository="' + CSS.escape(one.name) + '"]');
  const state = element?.querySelector("[data-state]");
  if (!state) return;
  if (state.dataset.state !== one.state || (one.verifiedAt && !element.querySelector("time[data-age]"))) {
    refreshList();
    return;
  }
  const time = element.querySelector("time[data-age]");
  if (time && one.verifiedAt) time.dateTime = one.verifiedAt;
}

let events;
let pollTimer;
function follow() {
  const path = document.querySelector("[data-events]")?.dataset.events;
  events?.close();
  clearInterval(pollTimer);
  if (!path || document.hidden) return;
  const show = ({ repositories, nowMs }) => {
    clockAheadMs = nowMs - Date.now();
    for (const one of repositories) showRepository(one);
    showAges();
  };
  events = new EventSource(path);
  events.addEventListener("states", ({ data }) => show(JSON.parse(data)));
  events.onerror = () => {
    if (events.readyState !== EventSource.CLOSED) return;
    pollTimer = setInterval(async () => {
      // The browser asks with the ETag that it has, and keeps the body of before for a 304.
      const response = await fetch(path + "&once", { cache: "no-cache" });
      const nowMs = Date.parse(response.headers.get("date")) || Date.now();
      if (response.ok) show({ nowMs, ...(await response.json()) });
    }, POLL_MS);
  };
}
document.addEventListener("visibilitychange", follow);

const input = document.getElementById("search");
const list = document.getElementById("list");
let asked = 0;
async function refreshList() {
  if (!list) { location.reload(); return; }
  const number = ++asked;
  const query = new URLSearchParams(location.search);
  const response = await fetch(base + "/?" + query + "&part=list", { headers: { accept: "text/html" } });
  if (number !== asked || !response.ok) return;
  list.innerHTML = await response.text();
  list.dataset.events = base + "/-/events?" + query;
  follow();
}
let typing;
input?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(async () => {
    history.replaceState(null, "", base + (input.value ? "/?" + new URLSearchParams({ search: input.value }) : "/"));
    await refreshList();
    say(document.getElementById("count")?.textContent);
  }, 150);
});
follow();
${MIRRORS_SCRIPT}`;
