// What a file's numbers mean, as `said` of each kind of target has it; each returns elements for the page.

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const plain = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(4))));

function ranking(names, shares) {
  const best = shares.map((share, place) => ({ share, name: names[place] })).sort((a, b) => b.share - a.share).slice(0, 3);
  const rows = best.map(({ share, name }) => {
    const bar = made("meter", { min: 0, max: 1, value: share });
    bar.setAttribute("aria-hidden", "true");
    return made("tr", {}, made("th", { scope: "row", textContent: name }), made("td", {}, bar),
      made("td", { textContent: percent(share) }));
  });
  return made("table", {}, made("caption", { textContent: "The most probable" }), made("tbody", {}, ...rows));
}

const heard = (words, label) => {
  const element = made("p", { className: "said", textContent: words });
  if (label !== undefined) element.dataset.label = label;
  return element;
};

const ANSWERS = {
  classes(facts, values) {
    let shares = values;
    if (facts.temperature !== undefined) {
      const powers = values.map((value) => Math.max(0, value) ** (1 / facts.temperature));
      const total = powers.reduce((sum, power) => sum + power, 0);
      shares = powers.map((power) => power / Math.max(total, Number.MIN_VALUE));
    }
    const best = shares.indexOf(Math.max(...shares));
    const threshold = facts.class_thresholds?.[best] ?? facts.threshold;
    const sure = threshold === undefined || shares[best] >= threshold;
    const words = sure ? `${facts.names[best]} ${percent(shares[best])}` : "none of these";
    const said = heard(words, sure ? facts.names[best] : "");
    said.dataset.probability = shares[best];
    return [said, ranking(facts.names, shares)];
  },

  several(facts, values) {
    const found = facts.names.filter((_, place) => values[place] >= facts.threshold);
    return [heard(found.join(", ") || "none", found.join("|")), ranking(facts.names, values)];
  },

  values(facts, values) {
    const words = facts.names.map((name, place) => `${name} ${plain(values[place])} ${facts.unit}`.trimEnd());
    return [heard(words.join(", "))];
  },

  // A tag that goes on with nothing begins a span, as `kerastl.tasks.tagging.spans` has it.
  tags(facts, values, parts) {
    const count = facts.names.length, words = parts[0].words();
    const tags = words.map(({ place }) => {
      const row = values.slice(place * count, (place + 1) * count);
      return facts.names[row.indexOf(Math.max(...row))];
    });
    const found = [];
    let open = null;
    tags.forEach((tag, place) => {
      const [first, kind] = [tag[0], tag.slice(2)];
      const goesOn = open && "IEL".includes(first) && open.kind === kind;
      if (!goesOn) open = null;
      if (goesOn) open.words.push(words[place].word);
      else if (tag !== "O") found.push((open = { kind, words: [words[place].word] }));
      if ("ELSU".includes(first)) open = null;
    });
    const said = found.map((span) => `${span.words.join(" ")} (${span.kind})`).join(", ");
    return [heard(said || "no span", said)];
  },

  numbers(facts, values) {
    const more = values.length > 4 ? ` ... (${values.length} numbers)` : "";
    return [heard(values.slice(0, 4).map(plain).join(", ") + more)];
  },
};

function answered(facts, outputs, parts) {
  if (facts.kind === "tasks") {
    return Object.entries(facts.parts).flatMap(([name, own]) =>
      [made("h3", { textContent: name }), ...ANSWERS[own.kind](own, outputs[name], parts)]);
  }
  if (facts.kind === "numbers" && Object.keys(outputs).length > 1) {
    return Object.entries(outputs).flatMap(([name, values]) =>
      [made("h3", { textContent: name }), ...ANSWERS.numbers(facts, values)]);
  }
  return ANSWERS[facts.kind](facts, Object.values(outputs)[0], parts);
}
