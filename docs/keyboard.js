// What scrolls is reached by the keyboard, and the search has a name, in the page's own language.
(() => {
  const scrolls = ".md-typeset__scrollwrap, .md-typeset pre > code";
  const name = document.documentElement.lang.startsWith("zh") ? "搜索" : "Search";
  const reach = () => {
    document.querySelector(".md-search")?.setAttribute("aria-label", name);
    document.querySelectorAll(scrolls).forEach((element) => {
      if (element.tabIndex < 0) element.tabIndex = 0;
    });
  };
  reach();
  new MutationObserver(reach).observe(document.body, { childList: true, subtree: true });
})();
