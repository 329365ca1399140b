/* The page of a study: swaps in the parts that the server has rendered anew. */

import "./page.js";
import { refreshCharts } from "./charts.js";
import { Connection } from "./connection.js";
import { morph } from "./morph.js";

const ANNOUNCE = 20000; // milliseconds between two announcements to screen readers
const WORDS = { loaded: "connecting", live: "live", polling: "polling every 3 s", reconnecting: "connection lost, retrying", interrupted: "no trainer", ended: "ended" };

const run = document.getElementById("run").dataset;
const status = document.getElementById("now").dataset;
const chip = document.getElementById("connection");
const spoken = document.getElementById("spoken");
let state = status.over === undefined ? "loaded" : "ended";
let announcedAt = Date.now();

/** Fetch what changes while a study runs; whether it is over. */
async function update() {
  const answer = await fetch(run.liveSource, { signal: AbortSignal.timeout(10000) });
  if (!answer.ok) throw new Error(`HTTP status ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  // A run in a new store has the number of the study that the page was loaded for.
  if (page.getElementById("now").dataset.started !== status.started) location.reload();
  const before = { ...status };
  for (const part of page.querySelectorAll("[data-live]")) morph(document.getElementById(part.id), part);
  const changed = status.state !== before.state;
  if (changed || status.trials !== before.trials) refreshCharts();
  if (changed || (status.announcement !== before.announcement && Date.now() - announcedAt > ANNOUNCE)) {
    announcedAt = Date.now();
    spoken.textContent = status.announcement;
  }
  showConnection();
  return status.over !== undefined;
}

function showConnection() {
  const shown = status.state === "interrupted" && ["live", "polling"].includes(state) ? "interrupted" : state;
  const age = Date.now() - Date.parse(status.updated);
  const text = shown === "ended" || Number.isNaN(age) ? WORDS[shown] : `${WORDS[shown]}, updated ${duration(age / 1000)} ago`;
  chip.dataset.state = shown;
  if (chip.textContent !== text) chip.textContent = text;
}

function duration(seconds) {
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.max(Math.floor(seconds / size), 0)} ${unit}`;
}

new Connection(() => `${run.stream}?after=${status.cursor}`, update, status.over !== undefined, (reached) => {
  state = reached;
  showConnection();
});
setInterval(() => state !== "ended" && showConnection(), 1000);

// Mark the section that is in view in the table of contents.
const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
const visible = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) visible[entry.isIntersecting ? "add" : "delete"](entry.target.id);
  const first = [...links.keys()].find((id) => visible.has(id));
  for (const [id, link] of links) link.toggleAttribute("aria-current", id === first);
}, { rootMargin: "-80px 0px -50% 0px" });
for (const id of links.keys()) watcher.observe(document.getElementById(id));
