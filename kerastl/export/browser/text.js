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
    const [vocabulary, characters] = await Promise.all(["vocab.txt", "characters.txt"].map(beside));
    this.tokenizer = new Tokenizer(await vocabulary.text(), await characters.text());
  }

  read() {
    const texts = this.fields.map((field) => field.value);
    if (texts.some((text) => text.trim() === "")) throw new Error("Type something first: a text is empty.");
    const pair = texts.length === 2;
    const ids = pair ? encodePair(this.tokenizer, ...texts) : this.tokenizer.encode(texts[0]);
    const mask = ids.map((id) => (id === 0 ? 0 : 1));
    const end = this.tokenizer.ids.get("[SEP]"), first = ids.indexOf(end);
    const segments = ids.map((id, place) => (pair && place > first && id !== 0 ? 1 : 0));
    this.ids = ids;
    return [ids, mask, segments];
  }

  // The words that the tokens make, each with the place of its first token.
  words() {
    const tokens = [...this.tokenizer.ids.keys()], found = [];
    this.ids.forEach((id, place) => {
      const token = tokens[id];
      if (token.startsWith("##") && found.length && token !== "##") found.at(-1).word += token.slice(2);
      else if (!["[PAD]", "[CLS]", "[SEP]"].includes(token)) found.push({ place, word: token });
    });
    return found;
  }
}
