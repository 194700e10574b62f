const cards = [...document.querySelectorAll("article")];
const decisions = cards.map(() => null);
const other = document.getElementById("other");
let at = 0;
const show = place => {
  at = Math.min(Math.max(place, 0), cards.length - 1);
  cards.forEach((card, index) => { card.hidden = index !== at; });
  const choice = decisions[at];
  document.querySelectorAll("[data-choice]").forEach(button =>
    button.setAttribute("aria-pressed", String(choice !== null && choice.decision === button.dataset.choice)));
  other.value = choice !== null && choice.decision === "relabel" ? choice.label : "";
  document.getElementById("decided").textContent = String(decisions.filter(one => one !== null).length);
};
const decide = (decision, label) => {
  const card = cards[at].dataset;
  const labels = { keep: card.label, relabel: label ?? card.answer, delete: "" };
  decisions[at] = { decision, label: labels[decision] };
  show(at + 1);
};
document.querySelectorAll("[data-go]").forEach(button =>
  button.addEventListener("click", () => show(at + Number(button.dataset.go))));
document.querySelectorAll("[data-choice]").forEach(button =>
  button.addEventListener("click", () => decide(button.dataset.choice)));
other.addEventListener("change", () => { if (other.value) decide("relabel", other.value); });
document.addEventListener("keydown", event => {
  if (event.target === other || event.ctrlKey || event.metaKey || event.altKey) return;
  const keys = { ArrowLeft: () => show(at - 1), ArrowRight: () => show(at + 1), k: () => decide("keep"),
    r: () => decide("relabel"), d: () => decide("delete") };
  keys[event.key]?.();
});
document.getElementById("download").addEventListener("click", () => {
  const quoted = text => `"${text.replaceAll('"', '""')}"`;
  const rows = cards.map((card, index) => [card.dataset.where, card.dataset.label, decisions[index]])
    .filter(row => row[2] !== null)
    .map(([where, label, choice]) => [where, label, choice.decision, choice.label].map(quoted).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([["where,label,decision,new_label", ...rows].join("\n") + "\n"],
    { type: "text/csv" }));
  link.download = "label_decisions.csv";
  link.click();
});
