// One run: its text and answer, all its layers and heads, and one of them large.
import { Beams } from "./beams.js";
import { make, visible } from "./drawing.js";
import { Grid } from "./grid.js";
import { Heat } from "./heat.js";
import { Lines } from "./lines.js";
import { Picture } from "./picture.js";
import { weightsOf, readWeights } from "./weights.js";
import { Words } from "./words.js";

const WRITES = { lines: Lines, heat: Heat, words: Words, picture: Picture };
const MOST_NAMED = 5;

// The ways in which a view can be drawn, the best first.
export function modesOf(view) {
  if (!view) return [];
  if (view.columnGrid) return ["picture", "heat"];
  return ["lines", "heat", "words"];
}

export class Panel {
  constructor(run, bits, hooks) {
    this.run = run;
    this.bits = bits;
    this.hooks = hooks;
    this.weights = new Map();
    this.drawers = new Map();
    this.grid = new Grid(hooks.choose);
    this.large = make("div", { className: "large" });
    this.split = make("div", { className: "split" }, this.large, this.grid.node);
    this.node = make("section", { className: "panel" },
      make("header", {},
        make("h2", {}, run.name, " ", make("small", { textContent: run.model })),
        make("p", { className: "text", textContent: run.given, dir: "auto" }),
        make("p", { className: "text", dir: "auto" }, make("small", { textContent: run.answer ? "→ " : "" }), run.answer)),
      this.split);
    if (run.image) {
      this.image = make("img", { src: `data:image/png;base64,${run.image}`, alt: "" });
    }
  }

  view(name) {
    return this.run.views.find((view) => view.name === name);
  }

  async weightsOf(view) {
    if (!this.weights.has(view.name)) this.weights.set(view.name, await readWeights(view, this.bits));
    if (this.image) await this.image.decode();
    return this.weights.get(view.name);
  }

  drawer(key, makeOne) {
    if (!this.drawers.has(key)) this.drawers.set(key, makeOne());
    return this.drawers.get(key);
  }

  show(node) {
    if (this.large.firstChild !== node) this.large.replaceChildren(node);
  }

  async draw(state) {
    if (state.view === "beams") {
      this.grid.node.hidden = true;
      this.show(this.run.beams ? this.drawer("beams", () => new Beams(this.run.beams, this.hooks.say)).node : this.missing());
      return;
    }
    const view = this.view(state.view);
    if (!view) {
      this.grid.node.hidden = true;
      this.show(this.missing());
      return;
    }
    const weights = await this.weightsOf(view);
    const layer = state.layer === null ? null : Math.min(state.layer, weights.layers - 1);
    const head = state.head === null ? null : Math.min(state.head, weights.heads - 1);
    const modes = modesOf(view);
    const mode = modes.includes(state.mode) ? state.mode : modes[0];
    const onFocus = (focus, isClick) => this.hooks.focus(this, focus, isClick);
    const drawer = this.drawer(`${view.name} ${mode}`, () => (mode === "picture"
      ? new Picture(view, this.image, onFocus)
      : new WRITES[mode](view, onFocus)));
    this.show(drawer.node);
    const room = matchMedia("(max-width: 60rem)").matches || this.hooks.isTwo ? this.node.clientWidth - 40 : this.node.clientWidth * 0.45;
    const drawn = `${view.name} ${layer} ${head} ${room} ${state.theme}`;
    if (this.drawn !== drawn) this.grid.draw(weights, weights.layers > 1 ? layer : 0, weights.heads > 1 ? head : 0, room);
    this.drawn = drawn;
    drawer.draw(weights, layer, head, this.focusOf(state, view));
  }

  // What is in focus, if it is of this run or of equal pieces.
  focusOf(state, view) {
    const focus = state.focus;
    if (!focus) return null;
    const pieces = focus.side === "row" ? view.rows : view.columns;
    const isMine = focus.panel === this;
    return isMine || pieces[focus.index] === focus.piece ? { ...focus, other: isMine ? focus.other : undefined } : null;
  }

  missing() {
    return this.drawer("missing", () => make("p", { className: "missing", textContent: "This run has nothing of the kind." }));
  }

  // In words: what the piece in focus attends to.
  told(state) {
    const view = this.view(state.view);
    const weights = view && this.weights.get(view.name);
    const focus = state.focus;
    if (!weights || !focus || focus.panel !== this) return "";
    const layer = state.layer === null ? null : Math.min(state.layer, weights.layers - 1);
    const head = state.head === null ? null : Math.min(state.head, weights.heads - 1);
    const chosen = weightsOf(weights.of(layer, head), weights.columns, focus);
    const rows = view.rowGrid ? view.rows : view.rows.map(visible);
    const columns = view.columnGrid ? view.columns : view.columns.map(visible);
    const [own, others] = focus.side === "row" ? [rows, columns] : [columns, rows];
    const named = (index) => `${others[index]} ${chosen[index].toFixed(3)}`;
    if (focus.other !== undefined) return `${own[focus.index]} → ${named(focus.other)}`;
    const order = [...chosen.keys()].sort((a, b) => chosen[b] - chosen[a]).slice(0, MOST_NAMED);
    const does = focus.side === "row" ? "attends to" : "is attended to by";
    return `${focus.index + 1}. ${own[focus.index]} ${does}: ${order.map(named).join(" · ")}`;
  }
}
