/* The compared studies in one chart: of each its best so far, from its own learning curve. */

import "./page.js";
import { chart } from "./charts.js";
import { perCent } from "./words.js";

const LOOKS = [["#0072B2", "solid"], ["#E69F00", "dash"], ["#009E73", "dot"], ["#CC79A7", "dashdot"], ["#56B4E9", "longdash"], ["#D55E00", "solid"]];

const root = document.getElementById("compared");

function bestSoFar(range, get) {
  const ids = root.dataset.studies.split(" ");
  const curves = ids.map((id) => get(`${root.dataset.root}/api/studies/${id}/charts/learning_curve`));
  return curves[0] instanceof Promise ? Promise.all(curves).then(inOne) : inOne(curves);
}

function inOne(curves) {
  const names = [...document.querySelectorAll(".side-by-side thead th a")].map((link) => link.textContent);
  const data = [];
  curves.forEach((curve, place) => {
    const trace = curve.figure.data.find((one) => one.name === "best so far");
    if (!trace) return;
    const [color, dash] = LOOKS[place];
    data.push({ ...trace, name: escaped(names[place]), line: { ...trace.line, color, dash, width: 2.5 } });
  });
  const layout = { ...(curves[0]?.figure.layout ?? {}), showlegend: true };
  const ends = data.map((trace) => `${literal(trace.name)} ${perCent(trace.y.at(-1))}`);
  const summary = data.length ? `Best single evaluation of training against the baseline: ${ends.join("; ")}.` : "None of them has measured a candidate yet.";
  return { figure: { data, layout }, summary, shown: 0, total: 0 };
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
const literal = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

if (root) chart(document.getElementById("chart-compared"), bestSoFar);
