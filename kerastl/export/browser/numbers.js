// Rows of a table by a field a column, and arrays of any shape as numbers with commas between them.

class NumbersPart {
  constructor(facts) {
    this.facts = facts;
    this.count = facts.fields.reduce((sum, field) => sum + field.places.length, 0);
    const grid = made("div", { className: "fields" });
    this.fields = facts.fields.map((field) => {
      const input = field.values ? made("select") : made("input", { type: "number", step: "any", required: true });
      if (field.values) {
        const names = field.needed ? field.values : [...field.values, "(none of them)"];
        names.forEach((name, place) => input.append(made("option", { textContent: name, value: String(place) })));
      } else {
        input.value = String(Number(field.mean.toPrecision(4)));
      }
      grid.append(made("label", {}, field.name, input));
      return input;
    });
    this.element = made("fieldset", {}, made("legend", { textContent: facts.name || "A row" }), grid);
  }

  read() {
    const row = new Array(this.count).fill(0);
    this.facts.fields.forEach((field, place) => {
      const value = Number(this.fields[place].value);
      if (!Number.isFinite(value) || this.fields[place].value === "") throw new Error(`${field.name} has to be a number.`);
      if (!field.values) row[field.places[0]] = value;
      else if (value < field.places.length) row[field.places[value]] = 1;
    });
    return [row];
  }
}

class ArrayPart {
  constructor(facts) {
    this.count = facts.shape.reduce((product, size) => product * size, 1);
    this.field = made("textarea", { rows: 4, spellcheck: false });
    const words = `${this.count} numbers (${facts.shape.join(" x ")}), with commas between them`;
    const label = made("label", {}, words, this.field);
    this.element = made("fieldset", {}, made("legend", { textContent: facts.name || "Numbers" }), label);
  }

  read() {
    const words = this.field.value.split(/[\s,;]+/).filter((word) => word !== "");
    const numbers = words.map(Number);
    if (numbers.length !== this.count || !numbers.every(Number.isFinite)) {
      throw new Error(`${this.count} finite numbers are wanted, and ${numbers.filter(Number.isFinite).length} are there.`);
    }
    return [numbers];
  }
}
