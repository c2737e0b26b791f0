/* What scrolls sideways by itself can be reached, named and scrolled by the keyboard; the theme's landmarks get names. */
(() => {
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "All pages");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
  const look = () => {
    for (const el of document.querySelectorAll("pre, .cell_output, .table-wrapper")) {
      const scrolls = el.scrollWidth > el.clientWidth;
      if (scrolls === (el.tabIndex === 0)) continue;
      if (!scrolls) {
        for (const name of ["tabindex", "role", "aria-label"]) el.removeAttribute(name);
        continue;
      }
      el.tabIndex = 0;
      el.setAttribute("role", "group");
      const what = el.querySelector("table") ? "Table" : el.tagName === "PRE" ? "Code" : "Output";
      el.setAttribute("aria-label", `${what}, wider than its place`);
    }
  };
  addEventListener("load", look);
  addEventListener("resize", look);
  document.addEventListener("toggle", look, true); // a folded table was opened
})();
