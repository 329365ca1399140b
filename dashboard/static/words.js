/* Figures and times as people read them; the same as words.py says on the server. */

const NOTHING = "–";
const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const minus = (text) => text.replace(/^-/, "−");

export function number(value) {
  if (value === null || value === undefined) return NOTHING;
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return NOTHING;
  const size = Math.abs(value);
  if ((Number.isInteger(value) || size >= 1000) && size < 1e15) {
    return minus(value.toLocaleString("en", { maximumFractionDigits: 0 }));
  }
  const rounded = Number(value.toPrecision(4));
  if (rounded !== 0 && (Math.abs(rounded) < 1e-4 || size >= 1e15)) {
    const [mantissa, exponent] = rounded.toExponential().split("e");
    return minus(`${mantissa}\u00a0×\u00a010${[...String(Number(exponent))].map((sign) => RAISED[sign]).join("")}`);
  }
  return minus(String(rounded));
}

export function perCent(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) return NOTHING;
  const digits = Math.abs(value) < 1000 ? 1 : 0;
  const text = Math.abs(value).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${value < 0 ? "−" : "+"}${text}\u00a0%`;
}

export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return NOTHING;
  const whole = Math.max(Math.round(seconds), 0);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  const two = (value) => String(value).padStart(2, "0");
  if (minutes < 60) return `${minutes} min ${two(whole % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${two(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const PHASES = {
  baseline: "measuring the baseline",
  control: "measuring the baseline again",
  train: "training",
  race: "racing the best candidates",
  verify: "proving the best candidate",
  ablate: "leaving out what does not help",
  ended: "ended",
};
const VERDICTS = { improved: "Improved", no_improvement: "No improvement", failed: "Failed", stopped: "Stopped", interrupted: "Interrupted" };

export const phase = (name) => PHASES[name] ?? name ?? NOTHING;
/** What is said of a study: its verdict, or that nobody runs it, or null while it runs. */
export const stateOf = (status) => status.verdict ?? (status.interrupted ? "interrupted" : null);
export const verdict = (name) => (name ? VERDICTS[name] ?? name.replaceAll("_", " ") : "Running");

/** A <time> in UTC, as the server writes it, with the reader's own time to be seen on pointing at it. */
export function moment(text) {
  const at = new Date(text);
  const element = document.createElement("time");
  if (Number.isNaN(at.getTime())) return element;
  element.dateTime = text;
  element.textContent = `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  element.title = at.toLocaleString();
  return element;
}

/** An element with text in it: what hosts and studies say is never taken for markup. */
export function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
