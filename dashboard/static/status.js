/* Keeps the status bar, the hosts, the latest evaluations and the log as a message says; touches only what differs. */

import { duration, element, moment, number, perCent, phase, stateOf, verdict } from "./words.js";

const LATEST = 12;
const EVENTS = 500; // in the page, which may stay open for days
const SPEAK = 20000; // milliseconds between two announcements to screen readers

const root = document.getElementById("run");
const { study, root: prefix } = root.dataset;
const fields = new Map([...document.querySelectorAll("[data-status]")].map((field) => [field.dataset.status, field]));
let spokenAt = 0;
let spokenAs = "";

function show(field, text) {
  if (field && field.textContent !== text) field.textContent = text;
}

export function showStatus(status, hosts) {
  const ended = Boolean(status.verdict);
  const over = ended || status.interrupted;
  const words = {
    phase: phase(status.phase),
    progress: `${number(status.evaluations)} of ${number(status.evaluations_planned)} evaluations${status.not_needed ? `, ${number(status.not_needed)} more were not needed` : ""}`,
    evaluations: number(status.evaluations),
    to_come: ended ? "–" : number(status.evaluations_planned - status.evaluations),
    failed: number(status.failed),
    episode: number(status.episode),
    reward: number(status.reward),
    best_reward: number(status.best_reward),
    best_percent: perCent(status.best_percent),
    best_number: status.best_number ? `, no. ${status.best_number}` : "",
    elapsed_seconds: duration(status.elapsed_seconds),
    left_seconds: over ? "–" : duration(status.left_seconds),
  };
  for (const [name, text] of Object.entries(words)) show(fields.get(name), text);
  const bar = fields.get("bar");
  bar.max = Math.max(status.evaluations_planned, 1);
  bar.value = status.evaluations;
  showVerdict(status);
  showWork(hosts, status);
  showAsked(status.asked, ended);
  speak(status);
}

function showVerdict(status) {
  const name = stateOf(status);
  const badge = fields.get("badge").firstElementChild;
  const kind = `badge ${name ?? "running"}`;
  if (badge.className === kind) return;
  badge.className = kind;
  badge.textContent = verdict(name);
  const acts = document.getElementById("acts");
  if (acts) acts.hidden = Boolean(name);
}

/** What a host is at, or was when the study was interrupted. */
function doingOf(host, status) {
  return host.doing && status.interrupted ? `was at ${host.doing}` : host.doing;
}

function showWork(hosts, status) {
  const work = document.getElementById("at-work");
  if (hosts.length > 6) {
    const lost = hosts.filter((host) => host.lost).length;
    const busy = status.interrupted ? 0 : hosts.filter((host) => host.doing && host.doing !== "waits").length;
    const text = `${hosts.length} hosts: ${busy} at work${lost ? `, ${lost} lost` : ""}; `;
    if (work.dataset.text === text) return;
    work.dataset.text = text;
    work.replaceChildren(element("span", text), element("a", "what each is doing", { href: "#hosts" }));
    return;
  }
  const doings = hosts.map((host) => [host.name, host.lost ? "lost" : doingOf(host, status) ?? (status.verdict ? "ended" : "–")]);
  const text = JSON.stringify(doings);
  if (!hosts.length || work.dataset.text === text) return;
  work.dataset.text = text;
  work.replaceChildren(
    ...doings.map(([name, doing]) => {
      const span = element("span", "", { class: "at-work" });
      span.append(element("b", name), ` ${doing}`);
      return span;
    }),
  );
}

function showAsked(asked, ended) {
  const notice = document.getElementById("asked");
  notice.hidden = !asked || ended;
  if (!asked) return;
  const taken = asked.taken_at ? "the run has taken it." : "the run has not taken it yet.";
  show(notice, `Asked for: ${asked.kind}, ${moment(asked.at).textContent}, by ${asked.by}; ${taken}`);
}

function speak(status) {
  const text = status.verdict
    ? `The study has ended: ${verdict(status.verdict)}.`
    : status.interrupted
    ? "The study was interrupted: nothing is heard from its trainer."
    : `${phase(status.phase)}, ${number(status.evaluations)} of ${number(status.evaluations_planned)} evaluations, best in training ${perCent(status.best_percent)}.`;
  if (text === spokenAs || (!status.verdict && Date.now() - spokenAt < SPEAK)) return;
  if (spokenAt) document.getElementById("spoken").textContent = text; // what the page came with is read anyway
  [spokenAt, spokenAs] = [Date.now(), text];
}

export function showHosts(hosts, status) {
  const body = document.getElementById("host-rows");
  const rows = new Map([...body.children].map((row) => [row.dataset.host, row]));
  if (hosts.length) body.querySelector(".empty")?.remove();
  for (const host of hosts) {
    const row = rows.get(host.name) ?? body.appendChild(hostRow(host.name));
    const words = {
      state: host.lost ? "lost" : status.verdict ? "ended" : status.interrupted ? "interrupted" : "at work",
      doing: host.lost ?? doingOf(host, status) ?? "–",
      evaluations: number(host.evaluations),
      failures: number(host.failures),
      baseline_metric: number(host.baseline_metric),
    };
    for (const cell of row.cells) if (cell.dataset.field) show(cell, words[cell.dataset.field]);
  }
}

function hostRow(name) {
  const row = document.createElement("tr");
  row.dataset.host = name;
  row.append(element("th", name, { scope: "row", class: "name" }));
  for (const field of ["state", "doing", "evaluations", "failures", "baseline_metric"]) {
    const kind = field === "doing" ? "text" : field === "state" ? "" : "figure";
    row.append(element("td", "", { class: kind, "data-field": field }));
  }
  return row;
}

/** The latest evaluations, on top of those that are there; isReset: instead of them. */
export function showEvaluations(evaluations, isReset) {
  const body = document.getElementById("evaluation-rows");
  if (isReset) body.replaceChildren();
  const there = new Set([...body.children].map((row) => row.dataset.evaluation));
  if (evaluations.length) body.querySelector(".empty")?.remove();
  for (const evaluation of evaluations.slice(-LATEST)) {
    if (!there.has(String(evaluation.id))) body.prepend(evaluationRow(evaluation, isReset));
  }
  while (body.children.length > LATEST) body.lastElementChild.remove();
}

function evaluationRow(evaluation, isOld) {
  const row = document.createElement("tr");
  row.dataset.evaluation = evaluation.id;
  const link = element("a", evaluation.id, { href: `${prefix}/studies/${study}/evaluations/${evaluation.id}` });
  const change = evaluation.change_percent;
  const outcome = element("td", evaluation.error ? "" : "measured", { class: "text" });
  if (evaluation.error) outcome.append(element("span", "failed:", { class: "worse" }), ` ${evaluation.error.slice(0, 160)}`);
  row.append(
    element("td", "", { class: "figure" }),
    element("td", evaluation.phase),
    element("td", (evaluation.label ?? "–").replace(" values", "")),
    element("td", evaluation.host, { class: "name" }),
    element("td", number(evaluation.metric), { class: "figure" }),
    element("td", perCent(change), { class: `figure ${change > 0 ? "better" : change < 0 ? "worse" : ""}` }),
    element("td", number(evaluation.reward), { class: "figure" }),
    element("td", number(evaluation.stability), { class: "figure" }),
    outcome,
    element("td"),
  );
  row.cells[0].append(link);
  row.cells[9].append(moment(evaluation.finished));
  if (!isOld) {
    row.className = "new";
    setTimeout(() => row.classList.remove("new"), 3000);
  }
  return row;
}

export function showEvents(events, isReset) {
  const list = document.getElementById("event-rows");
  if (isReset) list.replaceChildren();
  const there = new Set([...list.children].map((item) => item.dataset.event));
  if (events.length) list.querySelector(".empty")?.remove();
  for (const event of events) {
    if (there.has(String(event.id))) continue;
    const item = element("li", "", { "data-event": event.id });
    item.append(moment(event.at), element("span", event.host ?? "", { class: "host" }), element("span", event.text));
    list.prepend(item);
  }
  while (list.children.length > EVENTS) list.lastElementChild.remove();
}
