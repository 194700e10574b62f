// Sentences, and pairs of them, by the tokenizer of the bundle.

class TextPart {
  constructor(facts) {
    this.facts = facts;
    this.fields = facts.texts.map(() => made("input", { type: "text", autocomplete: "off" }));
    const title = facts.texts.length === 1 ? "A sentence" : "Two texts";
    this.element = made("fieldset", {}, made("legend", { textContent: title }));
    this.fields.forEach((field, place) => {
      const words = facts.texts.length === 1 ? "What it says" : facts.texts[place];
      this.element.append(made("p", {}, made("label", {}, words, field)));
    });
  }

  async load() {
    this.tokenizer = await tokenizerBeside(this.facts.files);
  }

  read() {
    const texts = this.fields.map((field) => field.value);
    if (texts.some((text) => text.trim() === "")) throw new Error("Type something first: a text is empty.");
    const tensors = encoded(this.tokenizer, texts);
    this.ids = tensors[0];
    return tensors;
  }

  words() {
    return wordsOf(this.tokenizer, this.ids);
  }
}
