// Comfort only: every page works without. The reader's own time zone, news without a reload, keys.
"use strict";

const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

function ago(at) {
  const seconds = Math.round((new Date(at) - Date.now()) / 1000);
  const [unit, length] = units.find(([, length]) => Math.abs(seconds) >= length) ?? units.at(-1);
  return relative.format(Math.round(seconds / length), unit);
}

function dress(root) {
  for (const place of root.querySelectorAll("[data-ago]")) place.textContent = ago(place.dataset.ago);
}

// What is marked `data-live` is fetched again whenever the server says that there is news.
const live = () => document.querySelectorAll("[data-live][id]");
let paused = false, missed = false, refreshing = false, newest = "0";

/** What a part says, whatever of it is opened. */
function plain(part) {
  const copy = part.cloneNode(true);
  for (const open of copy.querySelectorAll("details[open]")) open.removeAttribute("open");
  return copy.innerHTML;
}

/** Says on the button that there is news; the page still shows the position that it names. */
function announce() {
  missed = true;
  const button = document.querySelector("[data-pause]");
  button.textContent = paused ? "Go on (there is news)" : "Show the news";
}

// All parts change together, or none: what is read or opened is not taken away, and the position is that of what is shown.
async function refresh(seq, force = false) {
  if (refreshing || document.hidden) { missed = true; return; }
  refreshing = true;
  missed = false;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "Chatfold-Min-Seq": seq } });
    if (answer.redirected) { location.reload(); return; }
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    dress(fresh);
    const pairs = [...live()].map((part) => [part, fresh.getElementById(part.id)]);
    const changed = pairs.filter(([part, now]) => now && plain(now) !== plain(part));
    const holds = ([part]) => part.contains(document.activeElement) || part.querySelector("details[open]:not([data-open])");
    if (!force && changed.some(holds)) { announce(); return; }
    for (const [part, now] of changed) part.replaceChildren(...now.childNodes);
    document.querySelector("[data-pause]").textContent = paused ? "Go on" : "Pause";
  } catch { missed = true; } finally { refreshing = false; }
  if (missed && !paused && !document.hidden) setTimeout(() => refresh(newest), 1000);
}

/** Says that the page hears of no news, and why; an empty text: it does. */
function tell(text) {
  document.querySelector("[data-state]").textContent = text;
}

// A browser connects again by itself, but not where a proxy answers in place of a server that starts again.
async function reconnect() {
  const answer = await fetch("/live", { method: "HEAD" }).catch(() => undefined);
  if (answer?.ok) listen();
  else if (answer?.status === 401) tell("You are signed out. Load the page again to sign in.");
  else setTimeout(reconnect, 5000);
}

function listen() {
  const source = new EventSource("/live");
  source.onopen = () => tell("");
  source.onerror = () => {
    tell("No connection to the server. This page shows no news until the server answers.");
    if (source.readyState === EventSource.CLOSED) reconnect();
  };
  source.onmessage = (event) => {
    newest = event.data;
    if (newest === document.getElementById("seq")?.textContent) return;
    if (paused) announce(); else refresh(newest);
  };
}

function follow() {
  const button = document.querySelector("[data-pause]");
  if (document.querySelectorAll("main [data-live]").length === 0 || !window.EventSource) return;
  listen();
  // What was held is let go.
  const released = () => setTimeout(() => { if (missed && !paused) refresh(newest); }, 100);
  document.addEventListener("focusout", released);
  document.addEventListener("toggle", released, true);
  document.addEventListener("visibilitychange", () => { if (missed && !paused) refresh(newest); });
  button.hidden = false;
  button.addEventListener("click", () => {
    if (!paused && missed) { refresh(newest, true); return; }
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Go on" : "Pause";
    if (!paused && missed) refresh(newest, true);
  });
  setInterval(() => { for (const place of document.querySelectorAll("[data-ago]")) place.textContent = ago(place.dataset.ago); }, 10000);
}

/** Goes to the first link of another row. */
function step(by) {
  const rows = [...document.querySelectorAll("main tbody tr, main .rows > li")].filter((row) => row.querySelector("a"));
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  rows[Math.max(0, Math.min(rows.length - 1, at + by))]?.querySelector("a").focus();
}

// The list of apps covers the page: Escape or a click beside closes the list.
const apps = document.querySelector("details.apps");
document.addEventListener("click", (event) => { if (apps?.open && !apps.contains(event.target)) apps.open = false; });

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && apps?.open) {
    apps.open = false;
    apps.querySelector("summary").focus();
  }
  if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
  const keys = {
    "/": () => document.querySelector("[data-find]")?.focus(),
    "p": () => document.querySelector("[data-pause]:not([hidden])")?.click(),
    "j": () => step(1),
    "k": () => step(-1),
    "n": () => document.querySelector("a[rel=next]")?.click(),
    "?": () => document.getElementById("keys").showModal(),
    "b": () => document.querySelector("a[rel=prev]")?.click(),
  };
  if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
});

for (const button of document.querySelectorAll("[data-keys]")) {
  button.hidden = false;
  button.addEventListener("click", () => document.getElementById("keys").showModal());
}

// A page does not know by which name it was reached.
for (const command of document.querySelectorAll("[data-origin]")) {
  command.textContent = command.textContent.replace("http://127.0.0.1:8080", location.origin);
}

// The server shows all times in the zone of this cookie: no page mixes two.
for (const button of document.querySelectorAll("[data-zone]")) {
  const zone = button.dataset.zone || Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!zone || (zone === "UTC" && !button.dataset.zone)) continue;
  button.textContent = zone === "UTC" ? "Show UTC" : "Show my time";
  button.title = `Show all times in ${zone}`;
  button.hidden = false;
  button.addEventListener("click", () => {
    document.cookie = `chatfold_zone=${zone}; path=/; max-age=31536000; samesite=strict`;
    location.reload();
  });
}

for (const button of document.querySelectorAll("[data-clip]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.dataset.clip);
    button.textContent = "Copied";
  });
}

// An id that cannot stand in an address as it is.
if (!location.hash) document.querySelector(".message.asked")?.scrollIntoView({ block: "center" });

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

dress(document);
follow();
