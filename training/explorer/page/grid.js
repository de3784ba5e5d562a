// All layers and heads at a glance: a small heat map each, means in the last row and column.
import { context, make, pixels, theme } from "./drawing.js";

const GAP = 5;
const LABEL = 40;

// What stands in the rows or columns: numbers, and null for the mean where there are several.
export function numbers(count) {
  const found = [...Array(count).keys()];
  return count > 1 ? [...found, null] : found;
}

export class Grid {
  constructor(onChoose) {
    // The choice of layer and head does the same for those who do not see it.
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.canvas.addEventListener("click", (event) => {
      const place = this.placeOf(event);
      if (place) onChoose(place.layer, place.head);
    });
    this.node = make("div", { className: "overview" }, this.canvas);
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const scale = this.width / box.width;
    const column = Math.floor(((event.clientX - box.left) * scale - LABEL) / (this.cell.width + GAP));
    const row = Math.floor(((event.clientY - box.top) * scale - LABEL / 2) / (this.cell.height + GAP));
    const layers = numbers(this.weights.layers);
    const heads = numbers(this.weights.heads);
    const isInside = row >= 0 && column >= 0 && row < layers.length && column < heads.length;
    return isInside ? { layer: layers[row], head: heads[column] } : null;
  }

  draw(weights, layer, head, room) {
    this.weights = weights;
    const layers = numbers(weights.layers);
    const heads = numbers(weights.heads);
    this.node.hidden = layers.length * heads.length === 1;
    if (this.node.hidden) return;
    const side = Math.max(14, Math.min(64, (room - LABEL) / heads.length - GAP));
    const ratio = Math.max(0.35, Math.min(1.6, weights.rows / weights.columns));
    this.cell = { width: side, height: Math.max(10, side * ratio) };
    this.width = LABEL + heads.length * (side + GAP);
    const height = LABEL / 2 + layers.length * (this.cell.height + GAP);
    const colors = theme();
    const drawn = context(this.canvas, this.width, height);
    drawn.font = "11px system-ui, sans-serif";
    drawn.textBaseline = "middle";
    drawn.fillStyle = colors.soft;
    drawn.textAlign = "center";
    heads.forEach((one, column) => {
      drawn.fillText(one === null ? "mean" : one, LABEL + column * (side + GAP) + side / 2, 7, side + GAP);
    });
    drawn.textAlign = "right";
    layers.forEach((of, row) => {
      const y = LABEL / 2 + row * (this.cell.height + GAP);
      drawn.fillStyle = colors.soft;
      drawn.fillText(of === null ? "mean" : of, LABEL - 5, y + this.cell.height / 2);
      heads.forEach((one, column) => this.drawCell(drawn, colors, of, one, LABEL + column * (side + GAP), y,
        of === layer && one === head));
    });
  }

  drawCell(drawn, colors, layer, head, x, y, isChosen) {
    const small = pixels(this.weights.of(layer, head), this.weights.rows, this.weights.columns, colors);
    drawn.imageSmoothingEnabled = this.weights.columns > this.cell.width;
    drawn.drawImage(small, x, y, this.cell.width, this.cell.height);
    drawn.strokeStyle = isChosen ? colors.pin : colors.line;
    drawn.lineWidth = isChosen ? 2.5 : 1;
    drawn.strokeRect(x, y, this.cell.width, this.cell.height);
  }
}
