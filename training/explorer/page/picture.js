// Weights over an image: large for the piece in focus, and small for each (figure 3 of Xu et al. 2015).
import { context, make, pieceElement, shadePieces, theme } from "./drawing.js";
import { weightsOf } from "./weights.js";

const MOST_SMALL = 120; // pieces that have a small picture each

export class Picture {
  constructor(view, image, onFocus) {
    this.view = view;
    this.image = image;
    this.canvas = make("canvas");
    this.pieces = [];
    if (view.rowGrid) {
      this.canvas.addEventListener("pointermove", (event) => onFocus(this.placeOf(event)));
      this.canvas.addEventListener("pointerleave", () => onFocus(null));
      this.canvas.addEventListener("click", (event) => onFocus(this.placeOf(event), true));
    } else {
      this.pieces = view.rows.map((piece, index) => pieceElement("div", piece, "row", index));
    }
    if (this.pieces.length <= MOST_SMALL) {
      this.small = this.pieces.map((node) => {
        const canvas = make("canvas");
        node.prepend(canvas);
        return canvas;
      });
    }
    this.node = make("div", { className: "picture" }, this.canvas, make("div", { className: "strip" }, ...this.pieces));
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const [rows, columns] = this.view.rowGrid;
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    return row >= 0 && column >= 0 && row < rows && column < columns ? { side: "row", index: row * columns + column } : null;
  }

  draw(weights, layer, head, focus) {
    const chosen = weights.of(layer, head);
    const of = (index) => weightsOf(chosen, weights.columns, { side: "row", index });
    const row = focus?.side === "row" ? focus.index : null;
    const ratio = this.image.naturalHeight / this.image.naturalWidth;
    const width = Math.min(420, this.node.clientWidth || 420);
    this.paint(this.canvas, width, width * ratio, row === null ? this.mean(chosen) : of(row), row);
    this.canvas.style.width = "100%";
    this.canvas.style.height = "auto";
    (this.small || []).forEach((canvas, index) => {
      this.paint(canvas, 76, 76 * ratio, of(index), null);
      canvas.style.width = "100%";
      canvas.style.height = "auto";
    });
    shadePieces(this.pieces, null, focus, "row");
  }

  // What is looked at on the whole, where no piece is in focus.
  mean(weights) {
    const columns = this.view.columns.length;
    const found = new Float32Array(columns);
    for (let i = 0; i < weights.length; i++) found[i % columns] += weights[i] / this.view.rows.length;
    return found;
  }

  paint(canvas, width, height, weights, row) {
    const drawn = context(canvas, width, height);
    const [rows, columns] = this.view.columnGrid;
    drawn.imageSmoothingEnabled = false;
    drawn.drawImage(this.image, 0, 0, width, height);
    // What is not looked at is dark, the most of all is as it is.
    const most = Math.max(...weights) || 1;
    for (let place = 0; place < weights.length; place++) {
      drawn.fillStyle = `rgba(8, 10, 20, ${0.82 * (1 - weights[place] / most)})`;
      const x = Math.floor(((place % columns) * width) / columns);
      const y = Math.floor((Math.floor(place / columns) * height) / rows);
      const right = Math.floor((((place % columns) + 1) * width) / columns);
      const below = Math.floor(((Math.floor(place / columns) + 1) * height) / rows);
      drawn.fillRect(x, y, right - x, below - y);
    }
    if (row === null || !this.view.rowGrid) return;
    drawn.strokeStyle = theme().pin;
    drawn.lineWidth = 3;
    drawn.strokeRect(((row % columns) * width) / columns, (Math.floor(row / columns) * height) / rows, width / columns, height / rows);
  }
}
