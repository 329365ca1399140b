/* Charts: drawn by Plotly when they scroll into view, redrawn at most every five seconds, each with its own error
   message. All of them are printed. */

import { isDark, onTheme } from "./page.js";

const REFRESH = 5000;
const NARROW = 560;
const PAPER = 680; // pixels between the margins of print.css on A4 and Letter
const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["lasso2d", "select2d"], doubleClick: false };
// The colours of Okabe and Ito, adjusted where the page's background would swallow them.
const ON_DARK = { "#000000": "#e8ecef", "#0072B2": "#4ba3e3", "#999999": "#8a949e", "#D55E00": "#f0803c", "#009E73": "#2bbd92" };
const ON_LIGHT = { "#000000": "#1b1f24", "#999999": "#8f969c" };

let library;

/** Plotly, loaded from this server when the first chart needs it. */
function load() {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL(`plotly.min.js?v=${document.documentElement.dataset.plotly}`, import.meta.url).href;
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => { library = undefined; reject(new Error("Plotly did not load")); });
    document.head.append(script);
  });
  return library;
}

class Chart {
  constructor(figure) {
    Object.assign(this, { figure, visible: false, stale: true, drawnAt: 0, range: undefined });
    this.canvas = figure.querySelector(".canvas.js-only");
    this.details = figure.querySelector("details");
    this.details.addEventListener("toggle", () => this.showTable());
    new IntersectionObserver(([entry]) => {
      this.visible = entry.isIntersecting;
      if (this.visible) this.refresh();
    }, { rootMargin: "300px" }).observe(figure);
    onTheme(() => this.content && this.draw());
  }

  /** There is newer data than what is shown. */
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
        const answer = await fetch(this.source);
        if (!answer.ok) throw new Error(`HTTP status ${answer.status}`);
        this.content = await answer.json();
        await this.draw();
        this.figure.classList.remove("stale");
      } catch (error) {
        this.fail(error);
      }
      this.waiting = undefined;
      this.refresh();
    }, Math.max(this.drawnAt + REFRESH - Date.now(), 0));
  }

  get source() {
    const { source } = this.figure.dataset;
    return this.range ? `${source}?from=${this.range.from}&to=${this.range.to}` : source;
  }

  async draw() {
    if (this.describe()) await this.paint(await load());
  }

  /** Synchronous: browsers do not wait for anything before they print. */
  drawOnPaper() {
    if (this.stale) {
      const request = new XMLHttpRequest();
      request.open("GET", this.source, false);
      try { request.send(); } catch { /* offline: print what was drawn before */ }
      if (request.status === 200) {
        this.content = JSON.parse(request.responseText);
        this.stale = false;
      }
    }
    if (this.content && this.describe()) this.paint(window.Plotly, PAPER);
  }

  /** Show the chart's summary; whether there is anything to draw. */
  describe() {
    const { figure, summary, shown, total } = this.content;
    this.figure.querySelector(".summary").textContent = summary;
    const isEmpty = !figure.data.length;
    const part = shown < total ? `showing ${number(shown)} of ${number(total)}` : "";
    this.figure.querySelector(".shown").textContent = part && this.canZoom ? `${part}; drag to see a section in full` : part;
    this.details.hidden = this.canvas.hidden = isEmpty;
    this.canvas.classList.toggle("without", isEmpty);
    if (isEmpty && this.drawn) {
      window.Plotly.purge(this.canvas);
      this.drawn = false;
    }
    return !isEmpty;
  }

  paint(plotly, width) {
    const { data, layout } = themed(this.content.figure, (width ?? this.canvas.clientWidth) < NARROW, this.range);
    Object.assign(layout, width ? { width } : { autosize: true });
    if (!this.drawn) this.canvas.replaceChildren();
    this.canvas.style.height = `${layout.height}px`;
    this.canvas.style.minHeight = "0"; // which kept room for it until it was loaded
    const painted = plotly.react(this.canvas, data, layout, CONFIG);
    if (!this.drawn) this.listen();
    this.drawn = true;
    this.showTable();
    return painted;
  }

  get canZoom() {
    return this.figure.dataset.zoom !== undefined;
  }

  /** Zooming in fetches every point of that section; a double click zooms out. */
  listen() {
    this.canvas.on("plotly_relayout", (change) => {
      const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      if (!this.canZoom || typeof from !== "number" || typeof to !== "number") return;
      this.zoom({ from: Math.max(Math.floor(from), 0), to: Math.max(Math.ceil(to), 1) });
    });
    this.canvas.on("plotly_doubleclick", () => {
      if (this.canZoom) this.zoom(undefined);
      else window.Plotly.relayout(this.canvas, Object.fromEntries(axesOf(this.canvas.layout).map((key) => [`${key}.autorange`, true])));
    });
  }

  zoom(range) {
    this.range = range;
    this.drawnAt = 0;
    this.outdate();
  }

  fail(error) {
    const notice = element("p", `This chart could not be drawn: ${error.message}. `);
    const retry = element("button", "Try again");
    retry.addEventListener("click", () => this.zoom(this.range));
    notice.append(retry);
    this.figure.classList.add("stale");
    this.canvas.classList.toggle("without", !this.drawn);
    (this.drawn ? this.figure.querySelector(".shown") : this.canvas).replaceChildren(notice);
  }

  /** What is drawn as a table, one row per mark. */
  showTable() {
    if (!this.details.open || !this.content) return;
    const { data, layout } = this.content.figure;
    const region = element("div", "", { class: "wide tall", role: "region", tabindex: "0", "aria-label": `Data of ${this.figure.querySelector("h3").textContent}` });
    const table = region.appendChild(document.createElement("table"));
    const head = table.createTHead().insertRow();
    const titles = [layout.xaxis, layout.yaxis].map((axis, place) => literal(axis?.title?.text ?? "xy"[place]));
    for (const name of ["series", ...titles, "details"]) head.append(element("th", name, { scope: "col" }));
    const body = table.createTBody();
    for (const { name, x = [], y = [], text } of data) {
      for (let place = 0; place < Math.max(x.length, y.length); place += 1) {
        if (x[place] === null || y[place] === null) continue;
        const row = body.insertRow();
        for (const value of [name, x[place] ?? "", y[place], Array.isArray(text) ? text[place] : ""]) {
          const isNumber = typeof value === "number";
          row.append(element("td", isNumber ? number(value) : literal(value), { class: isNumber ? "figure" : "" }));
        }
      }
    }
    this.figure.querySelector(".data").replaceChildren(region);
  }
}

const axesOf = (layout) => Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
const number = (value) => value.toLocaleString("en", Math.abs(value) < 1000 ? { maximumSignificantDigits: 4 } : { maximumFractionDigits: 0 });
/** Plotly's markup as text. */
const literal = (text) => String(text ?? "").replaceAll("<br>", ", ").replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");

/** An element with text in it: what hosts and studies write is never markup. */
function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** The figure in the page's colours, and in one column on narrow screens. */
function themed(figure, isNarrow, range) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const swaps = isDark() ? ON_DARK : ON_LIGHT;
  const { data, layout } = JSON.parse(JSON.stringify(figure, (key, value) => (typeof value === "string" ? swaps[value] ?? value : value)));
  layout.font = { family: colour("sans"), size: 12, color: colour("ink") };
  layout.hoverlabel = { bgcolor: colour("surface"), bordercolor: colour("strong-line"), font: { color: colour("ink"), family: colour("sans") }, align: "left" };
  layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: colour("dim"), activecolor: colour("accent") };
  for (const key of axesOf(layout)) {
    Object.assign(layout[key], { gridcolor: colour("line"), linecolor: colour("strong-line"), tickcolor: colour("strong-line") });
    if (isNarrow && layout[key].title) layout[key].title.font = { size: 11 };
  }
  if (range && layout.xaxis) layout.xaxis.range = [range.from, range.to];
  if (isNarrow) narrow(data, layout);
  layout.uirevision = JSON.stringify(range ?? null);
  return { data, layout };
}

function narrow(data, layout) {
  const { grid } = layout;
  // Long category names leave half of the width for the axis title below.
  if (layout.yaxis?.type === "category") layout.xaxis.title.text = layout.xaxis.title.text.replace(/(.{16,}?) /, "$1<br>");
  if (grid && grid.columns > 1) {
    const count = axesOf(layout).filter((key) => key.startsWith("x")).length;
    layout.height = Math.max(230, (layout.height - 60) / grid.rows) * count;
    layout.grid = { ...grid, columns: 1, rows: count };
  }
  layout.margin = { ...layout.margin, l: 44, r: 12 };
  layout.dragmode = false; // a finger scrolls the page
  if (layout.showlegend === false || !layout.legend) return;
  const named = data.filter((trace) => trace.showlegend !== false);
  const lines = named.some((trace) => trace.name?.length > 12) ? named.length : Math.ceil(named.length / 2);
  layout.legend = { ...layout.legend, y: -60 / layout.height - 0.06, yanchor: "top", x: 0, font: { size: 11 } };
  layout.height += 20 * lines;
}

const charts = [...document.querySelectorAll("figure[data-chart]")].map((figure) => new Chart(figure));

export function refreshCharts() {
  for (const chart of charts) chart.outdate();
}

// Plotly must be there before the browser prints.
addEventListener("load", () => setTimeout(() => load().catch(() => {}), 2000));
addEventListener("beforeprint", () => {
  if (!window.Plotly) return;
  const { theme } = document.documentElement.dataset;
  document.documentElement.dataset.theme = "light"; // colours are read while drawing
  for (const chart of charts) chart.drawOnPaper();
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
});
addEventListener("afterprint", () => {
  for (const chart of charts) if (chart.drawn) chart.draw();
});
