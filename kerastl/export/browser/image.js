// Pictures as `kerastl predict` reads them: upright, transparent parts white, grey before it is resized, and resized as
// Pillow does it, bilinear and averaging when it shrinks, in whole numbers, so that a PNG becomes the same pixels. A JPEG
// that is more than twice as large is first brought to a half, a quarter or an eighth, as Pillow has it decoded: the mean
// of a block is its decoder's smallest size, and near to the others. Of a turned JPEG whose sides are no multiples of the
// block, blocks begin at the other end than its decoder's: half a block's difference at most.

class ImagePart {
  constructor(facts, changed) {
    [this.height, this.width, this.channels] = facts.size;
    this.changed = changed;
    const chosen = made("input", { type: "file", accept: "image/*" });
    chosen.addEventListener("change", () => chosen.files[0] && this.from(chosen.files[0]));
    this.seen = made("canvas", { className: "seen", width: this.width, height: this.height });
    this.seen.setAttribute("role", "img");
    this.seen.setAttribute("aria-label", `What goes into the file: ${this.width} by ${this.height} pixels`);
    this.element = made("fieldset", {}, made("legend", { textContent: facts.name || "A picture" }));
    if (this.channels === 1) {
      this.drawing = new Drawing(() => this.fromDrawing());
      const clear = made("button", { type: "button", textContent: "Clear" });
      clear.addEventListener("click", () => this.drawing.clear());
      this.element.append(made("p", { className: "soft", textContent: "Draw it large and in the middle." }),
        this.drawing.canvas, made("p", { className: "row" }, clear));
    }
    const file = made("p", {}, made("label", {}, "A picture file, or the camera of a phone", chosen));
    const others = [file, ...(navigator.mediaDevices?.getUserMedia ? [this.camera()] : [])];
    if (this.drawing) this.element.append(made("details", {}, made("summary", {}, "Or a picture"), ...others));
    else this.element.append(...others);
    this.element.append(made("figure", {}, this.seen, made("figcaption", { textContent: "What goes into the file" })));
  }

  camera() {
    const video = made("video", { playsInline: true, muted: true, hidden: true, width: 320 });
    const start = made("button", { type: "button", textContent: "Use the camera" });
    start.addEventListener("click", async () => {
      if (video.hidden) {
        try {
          video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
        } catch (error) {
          return this.changed(new Error(`There is no camera to use: ${error.message}`));
        }
        video.hidden = false;
        await video.play();
        start.textContent = "Take the picture";
      } else {
        await this.from(video);
        video.srcObject.getTracks().forEach((track) => track.stop());
        video.hidden = true;
        start.textContent = "Use the camera";
      }
    });
    return made("div", {}, video, made("p", { className: "row" }, start));
  }

  async from(source) {
    try {
      const options = { colorSpaceConversion: "none", premultiplyAlpha: "none", imageOrientation: "from-image" };
      const bitmap = await createImageBitmap(source, options);
      const canvas = made("canvas", { width: bitmap.width, height: bitmap.height });
      const context = canvas.getContext("2d");
      context.fillStyle = "#fff";
      context.fillRect(0, 0, bitmap.width, bitmap.height);
      context.drawImage(bitmap, 0, 0);
      const head = source instanceof Blob ? new Uint8Array(await source.slice(0, 2).arrayBuffer()) : [];
      this.take(context, { jpeg: head[0] === 0xff && head[1] === 0xd8 });
    } catch (error) {
      this.changed(new Error(`This is no picture that the browser can read: ${error.message}`));
    }
  }

  fromDrawing() {
    this.take(this.drawing.context);
  }

  take(context, { jpeg = false } = {}) {
    let { width, height } = context.canvas;
    const colours = context.getImageData(0, 0, width, height).data;
    let pixels = new Uint8Array(width * height * this.channels);
    for (let place = 0; place < width * height; place++) {
      const [red, green, blue] = [colours[4 * place], colours[4 * place + 1], colours[4 * place + 2]];
      if (this.channels === 1) pixels[place] = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
      else pixels.set([red, green, blue], 3 * place);
    }
    const times = Math.min(Math.floor(width / this.width), Math.floor(height / this.height));
    const block = jpeg ? [8, 4, 2, 1].find((size) => times >= size) ?? 1 : 1;
    if (block > 1) {
      pixels = this.means(pixels, { width, height, block });
      [width, height] = [Math.ceil(width / block), Math.ceil(height / block)];
    }
    if (width !== this.width) pixels = this.shrunk(pixels, { lines: height, from: width, to: this.width });
    if (height !== this.height) pixels = this.turnedAndShrunk(pixels, height);
    this.pixels = pixels;
    this.show();
    this.changed();
  }

  means(pixels, { width, height, block }) {
    const across = Math.ceil(width / block), down = Math.ceil(height / block);
    const result = new Uint8Array(across * down * this.channels);
    for (let place = 0; place < across * down; place++) {
      const left = (place % across) * block, top = Math.floor(place / across) * block;
      const right = Math.min(width, left + block), bottom = Math.min(height, top + block);
      for (let channel = 0; channel < this.channels; channel++) {
        let sum = 0;
        for (let y = top; y < bottom; y++) {
          for (let x = left; x < right; x++) sum += pixels[(y * width + x) * this.channels + channel];
        }
        result[place * this.channels + channel] = Math.round(sum / ((right - left) * (bottom - top)));
      }
    }
    return result;
  }

  // Each line of `from` pixels becomes one of `to`: weights of a triangle, as wide as a pixel of the result, in steps of
  // 2 ** -22, and a sum that is rounded to a byte.
  shrunk(pixels, { lines, from, to }) {
    const scale = from / to, support = Math.max(scale, 1), result = new Uint8Array(lines * to * this.channels);
    for (let place = 0; place < to; place++) {
      const centre = (place + 0.5) * scale;
      const first = Math.max(0, Math.trunc(centre - support + 0.5));
      const last = Math.min(from, Math.trunc(centre + support + 0.5));
      const weights = Array.from({ length: last - first }, (_, index) =>
        Math.max(0, 1 - Math.abs((index + first - centre + 0.5) / support)));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const steps = weights.map((weight) => Math.trunc(0.5 + (weight / total) * 4194304));
      for (let line = 0; line < lines; line++) {
        for (let channel = 0; channel < this.channels; channel++) {
          let sum = 2097152;
          steps.forEach((step, index) => {
            sum += pixels[(line * from + first + index) * this.channels + channel] * step;
          });
          result[(line * to + place) * this.channels + channel] = sum >> 22;
        }
      }
    }
    return result;
  }

  turnedAndShrunk(pixels, height) {
    const shrunk = this.shrunk(this.turned(pixels, height, this.width), { lines: this.width, from: height, to: this.height });
    return this.turned(shrunk, this.width, this.height);
  }

  turned(pixels, lines, length) {
    const result = new Uint8Array(pixels.length);
    for (let line = 0; line < lines; line++) {
      for (let place = 0; place < length; place++) {
        for (let channel = 0; channel < this.channels; channel++) {
          result[(place * lines + line) * this.channels + channel] = pixels[(line * length + place) * this.channels + channel];
        }
      }
    }
    return result;
  }

  show() {
    const colours = new Uint8ClampedArray(4 * this.width * this.height).fill(255);
    for (let place = 0; place < this.width * this.height; place++) {
      for (let channel = 0; channel < 3; channel++) {
        colours[4 * place + channel] = this.pixels[place * this.channels + (this.channels === 1 ? 0 : channel)];
      }
    }
    this.seen.getContext("2d").putImageData(new ImageData(colours, this.width, this.height), 0, 0);
  }

  read() {
    if (this.drawing && !this.pixels && !this.drawing.empty) this.fromDrawing();
    if (!this.pixels) throw new Error(this.drawing ? "Draw something first, or choose a picture." : "Choose a picture first.");
    return [this.pixels];
  }
}
