// A heat map: a row for each piece that attends, a column for each that is attended to.
import { context, make, pixels, theme, visible } from "./drawing.js";

const MOST_LABELS = 120; // pixels of a label

export class Heat {
  constructor(view, onFocus) {
    this.view = view;
    this.canvas = make("canvas", { tabIndex: 0, role: "img", "aria-label": "Heat map of the weights" });
    this.node = make("div", { className: "heat" }, this.canvas);
    this.canvas.addEventListener("pointermove", (event) => onFocus(this.placeOf(event)));
    this.canvas.addEventListener("pointerleave", () => onFocus(null));
    this.canvas.addEventListener("click", (event) => onFocus(this.placeOf(event), true));
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - this.before) / this.width);
    const row = Math.floor((event.clientY - box.top - this.above) / this.height);
    const isInside = row >= 0 && column >= 0 && row < this.view.rows.length && column < this.view.columns.length;
    return isInside ? { side: "row", index: row, other: column } : null;
  }

  draw(weights, layer, head, focus) {
    const colors = theme();
    const { rows, columns, rowGrid, columnGrid } = this.view;
    this.before = rowGrid ? 24 : this.widest(rows);
    this.above = columnGrid ? 8 : this.widest(columns);
    const room = (this.node.clientWidth || 600) - this.before - 4;
    this.width = Math.max(columnGrid ? 4 : 9, Math.min(30, room / columns.length));
    this.height = rowGrid ? this.width : Math.max(11, Math.min(26, this.width));
    const wide = this.before + this.width * columns.length;
    const drawn = context(this.canvas, wide + 2, this.above + this.height * rows.length + 2);
    drawn.imageSmoothingEnabled = false;
    const small = pixels(weights.of(layer, head), rows.length, columns.length, colors);
    drawn.drawImage(small, this.before, this.above, this.width * columns.length, this.height * rows.length);
    drawn.strokeStyle = colors.line;
    drawn.strokeRect(this.before, this.above, this.width * columns.length, this.height * rows.length);
    this.drawLabels(drawn, colors, focus);
    if (!focus) return;
    drawn.strokeStyle = focus.isPinned ? colors.pin : colors.accent;
    drawn.lineWidth = 1.5;
    if (focus.side === "row") {
      drawn.strokeRect(this.before, this.above + focus.index * this.height, this.width * columns.length, this.height);
    } else {
      drawn.strokeRect(this.before + focus.index * this.width, this.above, this.width, this.height * rows.length);
    }
    if (focus.other !== undefined) {
      drawn.strokeStyle = colors.pin;
      drawn.strokeRect(this.before + focus.other * this.width, this.above + focus.index * this.height, this.width, this.height);
    }
  }

  widest(pieces) {
    const drawn = this.canvas.getContext("2d");
    drawn.font = "12px system-ui, sans-serif";
    const widths = pieces.map((piece) => drawn.measureText(visible(piece)).width);
    return Math.min(MOST_LABELS, Math.max(...widths)) + 10;
  }

  drawLabels(drawn, colors, focus) {
    const { rows, columns, rowGrid, columnGrid } = this.view;
    drawn.font = `${Math.min(12, Math.max(9, this.height - 2))}px system-ui, sans-serif`;
    drawn.textBaseline = "middle";
    const isOn = (side, index) => focus && (focus.side === side ? focus.index === index : focus.other === index);
    if (!rowGrid) {
      drawn.textAlign = "right";
      rows.forEach((piece, row) => {
        drawn.fillStyle = isOn("row", row) ? colors.pin : colors.ink;
        drawn.fillText(visible(piece), this.before - 5, this.above + (row + 0.5) * this.height, this.before - 8);
      });
    }
    if (columnGrid) return;
    drawn.textAlign = "left";
    columns.forEach((piece, column) => {
      drawn.save();
      drawn.translate(this.before + (column + 0.5) * this.width, this.above - 4);
      drawn.rotate(-Math.PI / 2);
      drawn.fillStyle = isOn("column", column) ? colors.pin : colors.ink;
      drawn.fillText(visible(piece), 0, 0, this.above - 6);
      drawn.restore();
    });
  }
}
