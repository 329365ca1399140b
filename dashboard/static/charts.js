/* Charts: drawn by Plotly once they come into sight, again at most every five seconds, and each with its own error.
   On paper all of them are. */

import { element, number } from "./words.js";
import { isDark, onTheme } from "./page.js";

const REFRESH = 5000;
const NARROW = 560;
const PAPER = 680; // pixels: what A4 and Letter have between print.css's margins
const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"], doubleClick: false };
// Okabe and Ito's colours stay, but for those that the dark page would swallow.
const ON_DARK = { "#000000": "#e8ecef", "#0072B2": "#4ba3e3", "#999999": "#8a949e", "#D55E00": "#f0803c", "#009E73": "#2bbd92" };
const ON_LIGHT = { "#000000": "#1b1f24", "#999999": "#8f969c" };

const all = [];
let library;

/** Plotly, from this server, once something is to be drawn. */
function load() {
  library ??= new Promise((resolve, reject) => {
    const script = element("script", "", { src: new URL(`plotly.min.js?v=${document.documentElement.dataset.plotly}`, import.meta.url).href });
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => { library = undefined; reject(new Error("Plotly did not load")); });
    document.head.append(script);
  });
  return library;
}

class Chart {
  /** source(range, get) has {figure, summary, shown, total} from get(), or a promise of it; range: {from, to} or undefined. */
  constructor(figure, source) {
    Object.assign(this, { figure, source, visible: false, stale: true, drawnAt: 0, range: undefined });
    all.push(this);
    this.canvas = figure.querySelector(".canvas.js-only");
    this.details = figure.querySelector("details");
    this.details.addEventListener("toggle", () => this.showTable());
    new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      if (this.visible) this.refresh();
    }, { rootMargin: "300px" }).observe(figure);
    onTheme(() => this.content && this.draw());
  }

  /** What is shown is no longer all there is. */
  outdate() {
    this.stale = true;
    this.refresh();
  }

  refresh() {
    if (!this.visible || !this.stale || this.waiting || document.hidden) return;
    this.waiting = setTimeout(async () => {
      this.stale = false;
      this.drawnAt = Date.now();
      try {
        this.content = await this.source(this.range, fetchChart);
        await this.draw();
        this.figure.classList.remove("stale");
      } catch (error) {
        this.fail(error);
      }
      this.waiting = undefined;
      this.refresh();
    }, Math.max(this.drawnAt + REFRESH - Date.now(), 0));
  }

  async draw() {
    if (this.describe()) await this.paint(await load());
  }

  /** All at once, for the browser waits for nothing before it prints. */
  drawOnPaper() {
    if (this.stale) {
      try {
        this.content = this.source(this.range, readChart);
        this.stale = false;
      } catch { /* what was drawn before is better than nothing */ }
    }
    if (this.content && this.describe()) this.paint(window.Plotly, PAPER);
  }

  /** What is said of the chart; whether there is something to draw. */
  describe() {
    const { figure, summary, shown, total } = this.content;
    this.figure.querySelector(".summary").textContent = summary;
    const isEmpty = !figure.data.length;
    this.details.hidden = isEmpty;
    const part = shown < total ? `showing ${number(shown)} of ${number(total)}` : "";
    this.figure.querySelector(".shown").textContent = part && this.canZoom ? `${part}; drag to see a stretch in full` : part;
    this.canvas.classList.toggle("without", isEmpty);
    if (isEmpty) {
      if (this.drawn) window.Plotly.purge(this.canvas);
      this.drawn = false;
      this.canvas.hidden = true;
      return false;
    }
    this.canvas.hidden = false;
    return true;
  }

  paint(plotly, width) {
    const { data, layout } = themed(this.content.figure, (width ?? this.canvas.clientWidth) < NARROW, this.range);
    Object.assign(layout, width ? { width } : { autosize: true });
    if (!this.drawn) this.canvas.replaceChildren();
    this.canvas.style.height = `${layout.height}px`;
    const painted = plotly.react(this.canvas, data, layout, CONFIG);
    if (!this.drawn) this.listen();
    this.drawn = true;
    this.showTable();
    return painted;
  }

  get canZoom() {
    return ["learning_curve", "drift"].includes(this.figure.dataset.chart);
  }

  /** A stretch that is looked at closer comes with all its points; a double click shows everything again. */
  listen() {
    this.canvas.on("plotly_relayout", (change) => {
      const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (!this.canZoom || typeof from !== "number" || typeof to !== "number") return;
      this.zoom({ from: Math.max(Math.floor(from), 0), to: Math.max(Math.ceil(to), 1) });
    });
    this.canvas.on("plotly_doubleclick", () => {
      if (this.canZoom) this.zoom(undefined);
      else window.Plotly.relayout(this.canvas, allAxes(this.canvas.layout));
    });
  }

  zoom(range) {
    this.range = range;
    this.drawnAt = 0;
    this.outdate();
  }

  fail(error) {
    this.figure.classList.add("stale");
    this.figure.querySelector(".shown").textContent = "";
    const again = element("button", "Try again", { type: "button" });
    again.addEventListener("click", () => { this.drawnAt = 0; this.outdate(); });
    const notice = element("p", `This chart could not be drawn: ${error.message}. `);
    notice.append(again);
    if (this.drawn) {
      this.figure.querySelector(".shown").replaceChildren(notice);
      return;
    }
    this.canvas.classList.add("without");
    this.canvas.replaceChildren(notice);
  }

  showTable() {
    const place = this.figure.querySelector(".data");
    if (!this.details.open || !this.content) return;
    place.replaceChildren(table(this.content.figure, this.figure.querySelector("h3").textContent));
  }
}

function allAxes(layout) {
  return Object.fromEntries(Object.keys(layout).filter((key) => /^[xy]axis/.test(key)).map((key) => [`${key}.autorange`, true]));
}

/** The figure in the page's colours, and in one column where there is no room for more. */
function themed(figure, isNarrow, range) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const swaps = isDark() ? ON_DARK : ON_LIGHT;
  const text = JSON.stringify(figure, (key, value) => (typeof value === "string" ? swaps[value] ?? value : value));
  const { data, layout } = JSON.parse(text);
  layout.font = { family: style.getPropertyValue("--sans"), size: 12, color: colour("ink") };
  layout.hoverlabel = { bgcolor: colour("surface"), bordercolor: colour("strong-line"), font: { color: colour("ink"), family: colour("sans") }, align: "left" };
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: colour("dim"), activecolor: colour("accent") };
  for (const [key, axis] of Object.entries(layout)) {
    if (!/^[xy]axis\d*$/.test(key)) continue;
    Object.assign(axis, { gridcolor: colour("line"), linecolor: colour("strong-line"), tickcolor: colour("strong-line") });
    if (isNarrow && axis.title) axis.title.font = { size: 11 };
  }
  if (range && layout.xaxis) layout.xaxis.range = [range.from, range.to];
  if (isNarrow) {
    const { grid } = layout;
    // Beside long names there is room for half of what stands below.
    if (layout.yaxis?.type === "category") layout.xaxis.title.text = layout.xaxis.title.text.replace(/(.{16,}?) /, "$1<br>");
    if (grid && grid.columns > 1) {
      const count = Object.keys(layout).filter((key) => /^xaxis\d*$/.test(key)).length;
      layout.height = Math.max(230, (layout.height - 60) / grid.rows) * count;
      layout.grid = { ...grid, columns: 1, rows: count };
    }
    layout.margin = { ...layout.margin, l: 44, r: 12 };
    layout.dragmode = false; // a finger scrolls the page
    if (layout.showlegend !== false && layout.legend) {
      const named = data.filter((trace) => trace.showlegend !== false);
      const lines = named.some((trace) => trace.name?.length > 12) ? named.length : Math.ceil(named.length / 2);
      layout.legend = { ...layout.legend, y: -60 / layout.height - 0.06, yanchor: "top", x: 0, font: { size: 11 } };
      layout.height += 20 * lines;
    }
  }
  layout.uirevision = JSON.stringify(range ?? null);
  return { data, layout };
}

/** What is drawn, as a table: one row a mark. */
function table(figure, title) {
  const region = element("div", "", { class: "wide tall", role: "region", tabindex: "0", "aria-label": `Data of ${title}` });
  const made = document.createElement("table");
  const head = made.createTHead().insertRow();
  for (const name of ["series", axisTitle(figure.layout.xaxis, "x"), axisTitle(figure.layout.yaxis, "y"), "what"]) {
    head.append(element("th", name, { scope: "col" }));
  }
  const body = made.createTBody();
  for (const trace of figure.data) {
    const length = Math.max(trace.x?.length ?? 0, trace.y?.length ?? 0);
    for (let place = 0; place < length; place += 1) {
      const [x, y] = [trace.x?.[place], trace.y?.[place]];
      if (x === null || y === null) continue;
      const row = body.insertRow();
      for (const value of [trace.name, x ?? "", y, Array.isArray(trace.text) ? trace.text[place] : ""]) {
        row.append(element("td", typeof value === "number" ? number(value) : literal(value), { class: typeof value === "number" ? "figure" : "" }));
      }
    }
  }
  region.append(made);
  return region;
}

const axisTitle = (axis, otherwise) => literal(axis?.title?.text ?? otherwise);
const literal = (text) => String(text ?? "").replaceAll("<br>", ", ").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

const within = (address, range) => (range ? `${address}?from=${range.from}&to=${range.to}` : address);

async function fetchChart(address, range) {
  const answer = await fetch(within(address, range));
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  return answer.json();
}

/** The same, and everything waits for it. */
function readChart(address, range) {
  const asked = new XMLHttpRequest();
  asked.open("GET", within(address, range), false);
  asked.send();
  if (asked.status !== 200) throw new Error(`the server answers ${asked.status}`);
  return JSON.parse(asked.responseText);
}

// Nothing can be loaded any more once the browser is about to print.
addEventListener("load", () => setTimeout(() => load().catch(() => {}), 2000));
addEventListener("beforeprint", () => {
  if (!window.Plotly) return;
  const { theme } = document.documentElement.dataset;
  document.documentElement.dataset.theme = "light"; // its colours are read while it is drawn
  for (const one of all) one.drawOnPaper();
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
});
addEventListener("afterprint", () => {
  for (const one of all) if (one.drawn) one.draw();
});

export function chart(figure, source) {
  return new Chart(figure, source);
}
