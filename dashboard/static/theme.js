/* Before anything is painted: the theme that was chosen here, and that there is JavaScript. A classic script for that. */
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  } catch { /* storage is switched off: the system's theme it is */ }
})();
