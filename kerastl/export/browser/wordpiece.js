// The files of a WordPiece vocabulary: what becomes of each word, and of each character.

async function tokenizerBeside() {
  const [vocabulary, characters] = await Promise.all(["vocab.txt", "characters.txt"].map(beside));
  return new Tokenizer(await vocabulary.text(), await characters.text());
}

// Token ids, which of them are read, and to which of two texts each belongs.
function encoded(tokenizer, texts) {
  const pair = texts.length === 2;
  const ids = pair ? encodePair(tokenizer, ...texts) : tokenizer.encode(texts[0]);
  const first = ids.indexOf(tokenizer.ids.get("[SEP]"));
  const mask = ids.map((id) => (id === 0 ? 0 : 1));
  return [ids, mask, ids.map((id, place) => (pair && place > first && id !== 0 ? 1 : 0))];
}

// The words that the tokens make, each with the place of its first token.
function wordsOf(tokenizer, ids) {
  const tokens = [...tokenizer.ids.keys()], found = [];
  ids.forEach((id, place) => {
    const token = tokens[id];
    if (token.startsWith("##") && found.length && token !== "##") found.at(-1).word += token.slice(2);
    else if (!["[PAD]", "[CLS]", "[SEP]"].includes(token)) found.push({ place, word: token });
  });
  return found;
}
