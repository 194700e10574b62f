// The file of a SentencePiece model, and what becomes of single characters where its encoder was taught without capitals.

async function tokenizerBeside(files) {
  const model = new Uint8Array(await (await beside("sentencepiece.model")).arrayBuffer());
  const characters = files.includes("characters.txt") ? await (await beside("characters.txt")).text() : "";
  return new Tokenizer(model, characters);
}

// Token ids, which of them are read, and to which of two texts each belongs, which these encoders do not ask.
function encoded(tokenizer, texts) {
  const ids = texts.length === 2 ? tokenizer.encodePair(...texts) : tokenizer.encode(texts[0]);
  return [ids, ids.map((id) => (id === Tokenizer.PAD ? 0 : 1)), ids.map(() => 0)];
}

// The words that the pieces make, each with the place of its first piece.
function wordsOf(tokenizer, ids) {
  const pieces = new Map([...tokenizer.pieces].map(([piece, [number]]) => [number + Tokenizer.OFFSET, piece]));
  const found = [];
  ids.forEach((id, place) => {
    if ([Tokenizer.START, Tokenizer.END, Tokenizer.PAD].includes(id)) return;
    const piece = pieces.get(id) ?? "?";
    if (piece.startsWith("\u2581") || !found.length) found.push({ place, word: piece.replace("\u2581", "") });
    else found.at(-1).word += piece;
  });
  return found;
}
