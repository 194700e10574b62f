class Tokenizer {
  CONSTANTS

  constructor(model, characters = "") {  // bytes of sentencepiece.model; text of characters.txt where there is one
    const text = (bytes) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    const little = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    [this.pieces, this.bytes, this.symbols] = [new Map(), new Map(), []];
    [this.least, this.greatest, this.longest] = [Infinity, -Infinity, 1];
    let number = 0, fallback = false, settings = new Map();
    for (const [field, value] of Tokenizer.fields(model)) {
      const inner = field <= 3 ? new Map(Tokenizer.fields(value)) : new Map();
      if (field === 2) fallback = inner.get(35) === 1;
      if (field === 3) settings = inner;
      if (field !== 1) continue;
      const piece = text(inner.get(1) ?? new Uint8Array()), kind = inner.get(3) ?? 1;
      let score = inner.has(2) ? little(inner.get(2)).getFloat32(0, true) : 0;
      if (Tokenizer.NUMBERS_APART && /^.*\p{Nd},$/su.test(piece)) score = Math.fround(score - 100);
      if (kind === 2) this.unknown = number;
      if (kind === 4) this.symbols.push(piece);  // are taken as they are
      if (kind === 6) this.bytes.set(piece, number);
      if (kind === 1) {
        this.least = Math.min(this.least, score);
        this.greatest = Math.max(this.greatest, score);
      }
      if ((kind === 1 || kind === 4) && piece !== "") {
        this.pieces.set(piece, [number, score]);
        this.longest = Math.max(this.longest, Array.from(piece).length);
      }
      number++;
    }
    this.symbols.sort((one, other) => other.length - one.length);
    if (!fallback) this.bytes.clear();
    [this.dummy, this.remove, this.escape] = [3, 4, 5].map((field) => settings.get(field) !== 0);
    const table = settings.get(2) ?? new Uint8Array(), size = table.length ? little(table).getUint32(0, true) : 0;
    this.trie = Array.from({ length: size / 4 }, (_, place) => little(table).getUint32(4 + 4 * place, true));
    this.written = (value) => {
      const start = 4 + size + value;
      return text(table.subarray(start, table.indexOf(0, start)));
    };
    this.rows = characters.split("\n").filter((line) => line !== "").map((line) => line.split(" "));
    this.first = this.rows.map((row) => parseInt(row[0], 16));
    this.last = this.rows.map((row) => parseInt(row[1], 16));
  }

  encode(text, length = LENGTH) {
    return this.filled([Tokenizer.START, ...this.ids(text).slice(0, length - 2), Tokenizer.END], length);
  }

  encodePair(first, second, length = LENGTH) {  // of what does not fit the longer text loses its end
    const [a, b] = [this.ids(first), this.ids(second)], room = length - 2 - Tokenizer.BETWEEN;
    const less = Math.min(a.length, b.length, room >> 1);
    const [kept, others] = a.length <= b.length ? [less, room - less] : [room - less, less];
    const between = Array(Tokenizer.BETWEEN).fill(Tokenizer.END);
    const both = [...a.slice(0, kept), ...between, ...b.slice(0, others)];
    return this.filled([Tokenizer.START, ...both, Tokenizer.END], length);
  }

  filled(ids, length) {
    return Int32Array.from({ length }, (_, place) => ids[place] ?? Tokenizer.PAD);
  }

  ids(text) {
    const found = [];
    let wasUnknown = false;
    for (const [piece, number] of this.division(this.normalized(this.prepared(text)))) {
      const isUnknown = number === this.unknown;
      if (isUnknown && this.bytes.size) {
        for (const byte of new TextEncoder().encode(piece)) {
          const name = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
          found.push(this.bytes.get(name) + Tokenizer.OFFSET);
        }
      } else if (!(isUnknown && wasUnknown)) {
        found.push(isUnknown ? Tokenizer.UNKNOWN : number + Tokenizer.OFFSET);
      }
      wasUnknown = isUnknown;
    }
    return found;
  }

  division(text) {  // the most probable one into pieces (Viterbi), in float32
    const letters = Array.from(text), best = [[0, 0, 0], ...letters.map(() => undefined)];
    const offer = (end, start, number, score) => {
      if (!best[end] || Math.fround(score) > best[end][0]) best[end] = [Math.fround(score), start, number];
    };
    for (let start = 0; start < letters.length; start++) {
      let piece = "", alone = false;
      for (let end = start + 1; end <= Math.min(start + this.longest, letters.length); end++) {
        piece += letters[end - 1];
        if (!this.pieces.has(piece)) continue;
        let [number, score] = this.pieces.get(piece);
        if (this.symbols.includes(piece)) score = new TextEncoder().encode(piece).length * this.greatest - 0.1;
        offer(end, start, number, score + best[start][0]);
        alone ||= end === start + 1;
      }
      if (!alone) offer(start + 1, start, this.unknown, Math.fround(this.least - 10) + best[start][0]);
    }
    const found = [];
    for (let end = letters.length; end > 0; end = best[end][1]) {
      found.push([letters.slice(best[end][1], end).join(""), best[end][2]]);
    }
    return found.reverse();
  }

  normalized(text) {
    const letters = Array.from(text);
    let whole = "", afterSpace = this.remove, place = 0;
    while (place < letters.length) {
      let [end, part] = this.replacement(letters, place);
      place = end;
      if (afterSpace) part = part.replace(/^ +/, "");
      whole += part;
      if (part !== "" || !this.remove) afterSpace = part.endsWith(" ") && this.remove;
    }
    if (this.remove && whole === "") return "";
    const space = this.escape ? "\u2581" : " ";
    whole = ((this.dummy ? " " : "") + whole).replaceAll(" ", space);
    let end = whole.length;
    while (this.remove && end > 0 && whole[end - 1] === space) end--;
    return whole.slice(0, end);
  }

  replacement(letters, place) {  // where the longest row of the table ends that begins here, and what stands for it
    const text = letters.slice(place, place + 32).join("");
    const symbol = this.symbols.find((one) => text.startsWith(one));
    if (symbol !== undefined) return [place + Array.from(symbol).length, symbol];
    const isHalf = (letter) => /^[\ud800-\udfff]$/.test(letter);
    if (isHalf(letters[place])) return [place + 1, "\ufffd"];
    const jump = (unit) => ((unit >>> 10) << ((unit & 0x200) >>> 6));
    let end = 0, value = 0, node = this.trie.length ? jump(this.trie[0]) : -1;
    for (let at = place; at < letters.length && node >= 0 && !isHalf(letters[at]); at++) {
      let leaf = false;
      for (const byte of new TextEncoder().encode(letters[at])) {
        node ^= byte;
        const unit = this.trie[node] ?? 0;
        if (((unit & 0x800000ff) >>> 0) !== byte) {
          node = -1;
          break;
        }
        node ^= jump(unit);
        leaf = (unit >>> 8 & 1) === 1;
      }
      if (node >= 0 && leaf) [end, value] = [at + 1, this.trie[node] & 0x7fffffff];
    }
    return end ? [end, this.written(value)] : [place + 1, letters[place]];
  }

  prepared(text) {  // what comes before the table: letters taken apart where characters.txt says so
    if (!this.rows.length) return text;
    return Array.from(text.replace(/``|''/g, '"'), (letter) => {
      const code = letter.codePointAt(0);
      let low = 0, high = this.rows.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.last[middle] < code) low = middle + 1; else high = middle;
      }
      if (!(this.first[low] <= code)) return letter;
      return this.rows[low].slice(2).map((part) =>
        String.fromCodePoint(parseInt(part.replace("+", ""), 16) + (part[0] === "+" ? code - this.first[low] : 0)),
      ).join("");
    }).join("");
  }

  static *fields(message) {  // number and value of each field of a protobuf message
    let place = 0;
    const varint = () => {
      for (let number = 0, factor = 1; ; factor *= 128) {
        const byte = message[place++];
        number += (byte & 127) * factor;
        if (byte < 128) return number;
      }
    };
    while (place < message.length) {
      const tag = varint(), kind = tag & 7;
      if (kind === 0) {
        yield [tag >> 3, varint()];
        continue;
      }
      const length = kind === 2 ? varint() : kind === 1 ? 8 : 4;
      yield [tag >> 3, message.subarray(place, place += length)];
    }
  }
}
