// Lines between words, the stronger the more is attended to (figures 3 to 5 of the paper).
import { context, headColor, heatColor, make, pieceElement, shade, shadePieces, theme } from "./drawing.js";
import { weightsOf } from "./weights.js";

const HEIGHT = 22; // of a word on the longer side; those of the shorter one are spread over the same height
const FAINTEST = 0.02; // what is weaker cannot be seen

export class Lines {
  constructor(view) {
    this.view = view;
    this.left = view.rows.map((piece, index) => pieceElement("li", piece, "row", index));
    this.right = view.columns.map((piece, index) => pieceElement("li", piece, "column", index));
    this.canvas = make("canvas");
    this.middle = make("div", {}, this.canvas);
    this.height = HEIGHT * Math.max(view.rows.length, view.columns.length);
    this.apart = { row: this.height / view.rows.length, column: this.height / view.columns.length };
    for (const [side, nodes] of [["row", this.left], ["column", this.right]]) {
      for (const node of nodes) node.style.height = node.style.lineHeight = `${this.apart[side]}px`;
    }
    this.node = make("div", { className: "lines" }, make("ol", {}, ...this.left), this.middle, make("ol", {}, ...this.right));
  }

  draw(weights, layer, head, focus) {
    const colors = theme();
    const mean = weights.of(layer, head);
    const chosen = weightsOf(mean, weights.columns, focus);
    shadePieces(this.left, focus?.side === "column" ? chosen : null, focus, "row");
    shadePieces(this.right, focus?.side === "row" ? chosen : null, focus, "column");
    const width = this.middle.clientWidth || 200;
    const drawn = context(this.canvas, width, this.height);
    if (head === null && layer !== null && weights.heads > 1) {
      for (let one = 0; one < weights.heads; one++) {
        this.drawLines(drawn, width, weights.of(layer, one), focus, headColor(colors, one, weights.heads), 0.8);
      }
    } else {
      this.drawLines(drawn, width, mean, focus, heatColor(colors, 1), 1);
    }
  }

  drawLines(drawn, width, weights, focus, color, most) {
    const columns = this.view.columns.length;
    drawn.strokeStyle = color;
    for (let row = 0; row < this.view.rows.length; row++) {
      for (let column = 0; column < columns; column++) {
        const weight = weights[row * columns + column];
        if (weight < FAINTEST) continue;
        const isOn = !focus || (focus.side === "row" ? focus.index === row : focus.index === column);
        const strength = focus ? 0.1 + shade(weight) : 0.08 + weight;
        drawn.globalAlpha = most * (isOn ? Math.min(1, strength) : 0.05 * weight);
        if (drawn.globalAlpha < 0.01) continue;
        drawn.lineWidth = 0.8 + 3 * weight;
        const from = (row + 0.5) * this.apart.row;
        const to = (column + 0.5) * this.apart.column;
        drawn.beginPath();
        drawn.moveTo(0, from);
        drawn.bezierCurveTo(width * 0.35, from, width * 0.65, to, width, to);
        drawn.stroke();
      }
    }
    drawn.globalAlpha = 1;
  }
}
