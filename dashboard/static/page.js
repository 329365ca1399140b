/* On every page: theme switch, local times, copying, downloading, selecting studies. */

const root = document.documentElement;
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const printing = matchMedia("print");
const listeners = new Set();

/** Printed pages are always light. */
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
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* storage is disabled: the choice lasts until the page is closed */ }
  showTheme();
});
systemDark.addEventListener("change", showTheme);
printing.addEventListener("change", showTheme);
showTheme();

// Times are in UTC; pointing at one shows the local time.
document.addEventListener("mouseover", ({ target }) => {
  const time = target.closest("time[datetime]");
  if (time) time.title = new Date(time.dateTime).toLocaleString();
});

async function copy(button) {
  const text = document.getElementById(button.dataset.copy).textContent;
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Browsers allow the clipboard only over TLS and on localhost: select the text instead.
    const shown = document.getElementById(button.dataset.copy);
    shown.closest("details").open = true;
    getSelection().selectAllChildren(shown);
    button.textContent = "Selected, press Ctrl-C";
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

// One listener for all buttons: they may be replaced while a study runs.
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
