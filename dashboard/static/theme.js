/* Runs before the first paint: sets the stored theme and marks that JavaScript is on. A classic script, for modules run later. */
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  } catch { /* storage is disabled: use the system's theme */ }
})();
