// A pad to draw on, white on black, by finger, mouse or keys.

class Drawing {
  constructor(changed) {
    this.changed = changed;
    this.canvas = made("canvas", { className: "pad", width: 280, height: 280, tabIndex: 0 });
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-label",
      "Pad to draw on. Arrow keys move the pen, the space bar puts it down or lifts it, Delete clears the pad.");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.pen = { x: 140, y: 140, down: false };
    this.clear();
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.last = this.at(event);
      this.line(this.last, this.last);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.last) return;
      const now = this.at(event);
      this.line(this.last, now);
      this.last = now;
    });
    for (const name of ["pointerup", "pointercancel"]) {
      this.canvas.addEventListener(name, () => {
        if (this.last) this.changed();
        this.last = null;
      });
    }
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) * 280) / box.width, y: ((event.clientY - box.top) * 280) / box.height };
  }

  line(from, to) {
    this.empty = false;
    Object.assign(this.context, { strokeStyle: "#fff", lineWidth: 22, lineCap: "round", lineJoin: "round" });
    this.context.beginPath();
    this.context.moveTo(from.x, from.y);
    this.context.lineTo(to.x, to.y + (from.x === to.x && from.y === to.y ? 0.01 : 0));
    this.context.stroke();
  }

  key(event) {
    const steps = { ArrowLeft: [-14, 0], ArrowRight: [14, 0], ArrowUp: [0, -14], ArrowDown: [0, 14] };
    const before = { ...this.pen };
    if (event.key in steps) {
      const inside = (value) => Math.min(266, Math.max(14, value));
      this.pen.x = inside(this.pen.x + steps[event.key][0]);
      this.pen.y = inside(this.pen.y + steps[event.key][1]);
    } else if (event.key === " ") {
      this.pen.down = !this.pen.down;
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.clear();
      this.pen = { x: 140, y: 140, down: false };
    } else {
      return;
    }
    event.preventDefault();
    if (this.pen.down) this.line(before, this.pen);
    if (this.pen.down || event.key === " ") this.changed();
  }

  clear() {
    this.empty = true;
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, 280, 280);
  }
}
