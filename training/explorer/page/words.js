// The texts as they are read; the word below the pointer shades those that it attends to, or that attend to it.
import { make, pieceElement, shadePieces } from "./drawing.js";
import { weightsOf } from "./weights.js";

export class Words {
  constructor(view) {
    this.isOne = view.name === "encoder" || view.name === "decoder";
    const paragraph = (pieces, side) => {
      const nodes = pieces.map((piece, index) => pieceElement("span", piece, side, index));
      return [nodes, make("p", { dir: "auto" }, ...nodes)];
    };
    const [rows, above] = paragraph(view.rows, "row");
    this.rows = rows;
    if (this.isOne) {
      this.node = make("div", { className: "words" }, above);
      return;
    }
    const [columns, below] = paragraph(view.columns, "column");
    this.columns = columns;
    this.node = make("div", { className: "words" }, make("h3", { textContent: "source" }), below,
      make("h3", { textContent: view.name === "pooling" ? "answer" : "what is written" }), above);
  }

  draw(weights, layer, head, focus) {
    const chosen = weightsOf(weights.of(layer, head), weights.columns, focus);
    if (this.isOne) {
      shadePieces(this.rows, chosen, focus, "row");
      return;
    }
    shadePieces(this.rows, focus?.side === "column" ? chosen : null, focus, "row");
    shadePieces(this.columns, focus?.side === "row" ? chosen : null, focus, "column");
  }
}
