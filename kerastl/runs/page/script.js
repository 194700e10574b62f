const numberOf = cell => {
  const text = cell.dataset.value ?? cell.textContent.trim();
  const value = parseFloat(text.replace(/,/g, ""));
  return Number.isNaN(value) ? null : value;
};
document.querySelectorAll("table.sortable").forEach(table => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const falling = head.getAttribute("aria-sort") === "ascending";
    const sign = falling ? -1 : 1;
    const rows = [...table.tBodies[0].rows];
    const text = row => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const words = head.classList.contains("text") && !rows.every(row => numberOf(row.cells[column]) !== null);
    rows.sort((a, b) => {
      if (words) return sign * text(a).localeCompare(text(b));
      const [one, other] = [numberOf(a.cells[column]), numberOf(b.cells[column])];
      if (one === null || other === null) return (one === null) - (other === null);
      return sign * (one - other);
    }).forEach(row => table.tBodies[0].append(row));
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
  }));
});
document.querySelectorAll("select.order").forEach(select => select.addEventListener("change", () => {
  const table = document.querySelector(`table.matrix[data-matrix="${select.dataset.matrix}"]`);
  const heads = [...table.tHead.rows[0].cells];
  const key = cell => select.value === "name" ? cell.textContent.trim() : Number(cell.dataset[select.value]);
  const compare = (a, b) => select.value === "name" ? key(a).localeCompare(key(b)) : key(a) - key(b);
  const known = cell => cell.dataset.given !== undefined;
  const columns = heads.map((head, at) => at).filter(at => known(heads[at])).sort((a, b) => compare(heads[a], heads[b]));
  const order = [0, ...columns, ...heads.map((head, at) => at).filter(at => at && !known(heads[at]))];
  [...table.tHead.rows, ...table.tBodies[0].rows].forEach(row => {
    const cells = [...row.cells];
    row.append(...order.map(at => cells[at]));
  });
  const body = table.tBodies[0], rows = [...body.rows];
  const inner = rows.filter(row => known(row.cells[0])).sort((a, b) => compare(a.cells[0], b.cells[0]));
  body.append(...inner, ...rows.filter(row => !known(row.cells[0])));
}));
document.querySelectorAll("section.thresholds").forEach(section => {
  const found = JSON.parse(section.querySelector("script").textContent);
  const slider = section.querySelector("input"), share = (part, whole) => whole ? part / whole : null;
  const words = value => value === null ? "none" : `${(100 * value).toFixed(2)} %`;
  const show = () => {
    const at = Number(slider.value);
    section.querySelector("output").textContent = found.levels[at].toFixed(2);
    slider.setAttribute("aria-valuetext", found.levels[at].toFixed(2));
    const answered = section.querySelector(".answered");
    if (answered) answered.textContent = `From ${found.levels[at].toFixed(2)} on ${words(share(found.answered[at], found.examples))} of the examples are answered, and ${words(share(found.right[at], found.answered[at]))} of these answers are right.`;
    [...section.querySelectorAll("tbody tr")].forEach((row, place) => {
      const one = found.classes[place], hits = one.found[at], named = one.named[at];
      row.cells[2].textContent = named.toLocaleString("en");
      row.cells[3].textContent = words(share(hits, one.examples));
      row.cells[4].textContent = words(share(hits, named));
      row.cells[5].textContent = words(share(2 * hits, one.examples + named));
    });
  };
  slider.addEventListener("input", show);
  show();
});
document.querySelectorAll("button.download").forEach(button => button.addEventListener("click", () => {
  const table = button.closest("section").querySelector("table");
  const text = cell => cell.querySelector("[data-value]")?.dataset.value ?? cell.textContent.trim();
  const quoted = value => `"${(/^[=+@\-\t\r]/.test(value) ? `'${value}` : value).replace(/"/g, '""')}"`;
  const lines = [...table.rows].map(row => [...row.cells].map(cell => quoted(text(cell))).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff" + lines.join("\r\n") + "\r\n"], {type: "text/csv"}));
  link.download = button.dataset.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}));
