/* What every page has: the theme's switch, local times, copying and downloading. */

const root = document.documentElement;
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const printing = matchMedia("print");
const listeners = new Set();

/** Paper is light, whatever the screen is. */
export function isDark() {
  if (printing.matches) return false;
  return root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches;
}

export const onTheme = (listener) => listeners.add(listener);

function showTheme() {
  const button = document.getElementById("theme");
  if (button) button.textContent = isDark() ? "Light" : "Dark";
  button?.setAttribute("aria-label", isDark() ? "Light colours" : "Dark colours");
  for (const listener of listeners) listener();
}

document.getElementById("theme")?.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* it lasts as long as the page does */ }
  showTheme();
});
systemDark.addEventListener("change", showTheme);
printing.addEventListener("change", showTheme);
showTheme();

export function localTimes(within = document) {
  for (const time of within.querySelectorAll("time[datetime]")) time.title = new Date(time.dateTime).toLocaleString();
}
localTimes();

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Without TLS and beyond localhost browsers keep the clipboard to themselves: show the text, selected.
    const shown = document.getElementById(button.dataset.copy);
    shown.closest("details").open = true;
    getSelection().selectAllChildren(shown);
    button.textContent = "Selected: press Ctrl-C";
  }
  setTimeout(() => { button.textContent = before; }, 2500);
}

function download(button) {
  const text = document.getElementById(button.dataset.download).textContent;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/yaml" }));
  link.download = button.dataset.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// One listener for all: parts of the page are exchanged while the study runs.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.copy) copy(button);
  if (button?.dataset.download) download(button);
});

const selected = document.getElementById("selected");
if (selected) {
  const boxes = [...document.querySelectorAll('input[name="study"]')];
  const button = selected.parentElement.querySelector("button");
  const show = () => {
    const count = boxes.filter((box) => box.checked).length;
    button.disabled = count < 2;
    selected.textContent = count < 2 ? "select two or more" : `${count} selected`;
  };
  for (const box of boxes) box.addEventListener("change", show);
  show();
}
