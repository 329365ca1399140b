/* A run's page: brings news to its parts. */

import "./page.js";
import { localTimes } from "./page.js";
import { Connection } from "./connection.js";
import { chart } from "./charts.js";
import { showEvaluations, showEvents, showHosts, showStatus } from "./status.js";
import { duration, stateOf } from "./words.js";

const REFRESH = 5000;
const root = document.getElementById("run");
const api = `${root.dataset.root}/api/studies/${root.dataset.study}`;
const chip = document.getElementById("connection");
const WORDS = { live: "live", polling: "asking every 3 s", reconnecting: "no connection, trying again", ended: "ended", interrupted: "no trainer", loaded: "connecting" };

const charts = [...document.querySelectorAll("figure[data-chart]")].map((figure) =>
  chart(figure, (range, get) => get(`${api}/charts/${figure.dataset.chart}`, range)),
);

let updated = Date.parse(root.dataset.updated);
let state = root.dataset.ended === undefined ? "loaded" : "ended";
let shownStatus;

function showConnection() {
  const age = Number.isNaN(updated) ? "" : `, last news ${duration((Date.now() - updated) / 1000)} ago`;
  // Live is a page that hears of a run, not one that hears that there is none.
  const shown = shownStatus?.interrupted && ["live", "polling"].includes(state) ? "interrupted" : state;
  const text = shown === "ended" ? WORDS.ended : `${WORDS[shown]}${age}`;
  chip.dataset.state = shown;
  if (chip.textContent !== text) chip.textContent = text;
}

function take(message, isReset) {
  const { status } = message;
  if (status.updated) updated = Date.parse(status.updated);
  showStatus(status, message.hosts);
  showHosts(message.hosts, status);
  showEvaluations(message.evaluations, isReset);
  showEvents(message.events, isReset);
  if (message.evaluations.length || isReset || stateOf(status) !== stateOf(shownStatus ?? {})) {
    for (const one of charts) one.outdate();
  }
  const differs = ["best_number", "best_percent", "failed", "phase", "verdict", "reason", "interrupted"].some((name) => shownStatus?.[name] !== status[name]);
  // The first message mostly says what the page came with.
  const isKnown = !shownStatus && !isReset && !message.evaluations.length && !status.verdict && !status.interrupted;
  if (differs && !isKnown) refreshParts();
  shownStatus = status;
  showConnection();
}

/* Verdict, best configuration, evidence and failures are the server's to word: they are taken from the page as it is
   now, where they differ from what it was. */
const written = new Map([...document.querySelectorAll("[data-refresh]")].map((part) => [part.id, part.innerHTML]));
let refreshedAt = Date.now();
let waiting;

function refreshParts() {
  waiting ??= setTimeout(async () => {
    refreshedAt = Date.now();
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const id of written.keys()) exchange(document.getElementById(id), page.getElementById(id));
      waiting = undefined;
    } catch {
      waiting = undefined;
      refreshedAt = Date.now() + REFRESH;
      if (state !== "ended") refreshParts();
    }
  }, Math.max(refreshedAt + REFRESH - Date.now(), 200));
}

function exchange(part, fresh) {
  if (!fresh || written.get(part.id) === fresh.innerHTML) return;
  written.set(part.id, fresh.innerHTML);
  const open = new Set([...part.querySelectorAll("details[open][id]")].map((details) => details.id));
  part.className = fresh.className;
  part.replaceChildren(...fresh.childNodes);
  for (const details of part.querySelectorAll("details[id]")) details.open = open.has(details.id);
  localTimes(part);
}

if (state === "ended") {
  showConnection();
} else {
  new Connection(api, root.dataset.cursor, take, (now) => {
    state = now;
    showConnection();
    if (now === "ended") refreshParts();
  });
  setInterval(showConnection, 1000);
}

// Where in the report the reader is.
const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
const inSight = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) inSight[entry.isIntersecting ? "add" : "delete"](entry.target.id);
  const first = [...links.keys()].find((id) => inSight.has(id));
  for (const [id, link] of links) link.toggleAttribute("aria-current", id === first);
}, { rootMargin: "-80px 0px -50% 0px" });
for (const id of links.keys()) watcher.observe(document.getElementById(id));
