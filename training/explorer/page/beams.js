// The search as a tree: a column for each step, a line for each hypothesis.
import { make, visible } from "./drawing.js";

const ROW = 44;
const SPACE = 46; // between two columns
const FATES = {
  ended: "ended",
  cut: "cut at the longest length",
  dropped: "dropped: better ones took its place",
  open: "left open: it could not win any more",
};
const MARKS = { ended: "●", cut: "■", dropped: "✕", open: "…" };

export function percent(logProb) {
  const value = 100 * Math.exp(logProb);
  return value >= 99.95 ? "100 %" : value >= 1 ? `${value.toFixed(1)} %` : value >= 0.01 ? `${value.toFixed(2)} %` : "< 0.01 %";
}

function svg(tag, properties, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Each leaf gets a row of its own, results first; a node stands in the row of its best child.
export function layOut(nodes) {
  const children = nodes.map(() => []);
  const roots = [];
  nodes.forEach((node, index) => (node.parent === null ? roots : children[node.parent]).push(index));
  const best = nodes.map((node) => (node.rank === null ? Infinity : node.rank));
  const last = nodes.map((node) => node.step);
  for (let index = nodes.length - 1; index >= 0; index--) {
    const parent = nodes[index].parent;
    if (parent === null) continue;
    best[parent] = Math.min(best[parent], best[index]);
    last[parent] = Math.max(last[parent], last[index]);
  }
  const order = (a, b) => (best[a] === best[b] ? last[b] - last[a] : best[a] < best[b] ? -1 : 1);
  const rows = nodes.map(() => 0);
  let next = 0;
  const waiting = roots.sort(order).reverse();
  while (waiting.length) {
    let index = waiting.pop();
    // Down to the leaf by the best children; the others wait for the rows below.
    rows[index] = next;
    while (children[index].length) {
      const [first, ...others] = children[index].sort(order);
      waiting.push(...others.reverse());
      rows[first] = next;
      index = first;
    }
    next += 1;
  }
  return { rows, height: next, best };
}

export class Beams {
  constructor(nodes, onStatus) {
    this.nodes = nodes;
    const { rows, height, best } = layOut(nodes);
    const steps = nodes.reduce((most, node) => Math.max(most, node.step + 1), 0);
    const widths = Array(steps).fill(30);
    const measure = make("canvas").getContext("2d");
    measure.font = "13px system-ui, sans-serif";
    nodes.forEach((node) => {
      widths[node.step] = Math.max(widths[node.step], Math.min(190, measure.measureText(visible(node.piece)).width + 18));
    });
    const lefts = [];
    widths.reduce((x, width) => (lefts.push(x), x + width + SPACE), 8);
    const right = lefts[steps - 1] + widths[steps - 1] + 60;
    const drawn = svg("svg", { width: right, height: height * ROW + 12, role: "img", "aria-label": "The hypotheses of the search" });
    const edges = svg("g", {});
    const boxes = svg("g", {});
    this.groups = nodes.map((node, index) => {
      const x = lefts[node.step];
      const y = rows[index] * ROW + 20;
      const isOn = best[index] < Infinity;
      if (node.parent !== null) {
        const from = lefts[node.step - 1] + widths[node.step - 1];
        const above = rows[node.parent] * ROW + 20;
        const path = `M${from},${above} C${from + SPACE / 2},${above} ${x - SPACE / 2},${y} ${x},${y}`;
        const wide = 1 + 3 * Math.exp(node.logProb);
        edges.append(svg("path", { d: path, class: isOn ? "edge" : "edge gone", "stroke-width": wide, opacity: isOn ? 0.85 : 0.4 }));
      }
      const kind = best[index] === 0 ? "node best" : isOn ? "node" : "node dropped";
      const label = svg("text", { x: x + 9, y: y + 4.5 }, visible(node.piece));
      const under = svg("text", { x: x + 9, y: y + 25, class: "percent" }, percent(node.logProb));
      const box = svg("rect", { x, y: y - 11, width: widths[node.step], height: 22, rx: 6 });
      const group = svg("g", { class: kind, tabindex: node.fate === "on" ? -1 : 0 }, box, label, under);
      if (node.fate !== "on") {
        group.append(svg("text", { x: x + widths[node.step] + 7, y: y + 4.5, class: `mark ${node.fate}` }, MARKS[node.fate]));
      }
      const show = () => this.show(index, onStatus);
      group.addEventListener("pointerenter", show);
      group.addEventListener("focus", show);
      boxes.append(group);
      return group;
    });
    drawn.append(edges, boxes);
    this.node = make("div", {}, make("div", { className: "tree", tabIndex: 0 }, drawn), this.results());
  }

  path(index) {
    const found = [];
    for (let at = index; at !== null; at = this.nodes[at].parent) found.unshift(at);
    return found;
  }

  text(index) {
    return this.path(index).map((at) => visible(this.nodes[at].piece)).join(" ");
  }

  show(index, onStatus) {
    const path = new Set(this.path(index));
    this.groups.forEach((group, at) => group.classList.toggle("hovered", path.has(at)));
    const node = this.nodes[index];
    const fate = node.fate === "on" ? "" : ` · ${FATES[node.fate]}, after ${node.step + 1} tokens`;
    const place = node.rank === null ? "" : ` · result ${node.rank + 1}`;
    onStatus(`${this.text(index)} · token ${percent(node.logProb)}, all ${percent(node.score)} (log ${node.score.toFixed(3)})${fate}${place}`);
  }

  results() {
    const leaves = this.nodes.map((node, index) => ({ ...node, index })).filter((node) => node.fate !== "on");
    const key = (leaf) => (leaf.rank === null ? 1e6 - leaf.step : leaf.rank);
    leaves.sort((a, b) => key(a) - key(b));
    const row = (leaf) => make("tr", {},
      make("td", { textContent: leaf.rank === null ? MARKS[leaf.fate] : leaf.rank + 1 }),
      make("td", { textContent: leaf.score.toFixed(3) }),
      make("td", { textContent: leaf.rank === null ? `${FATES[leaf.fate]}, after ${leaf.step + 1} tokens` : FATES[leaf.fate] }),
      make("td", { textContent: this.text(leaf.index), dir: "auto" }));
    const head = make("tr", {}, ...["", "log P", "what became of it", "hypothesis"].map((name) => make("th", { textContent: name })));
    return make("table", { className: "results" }, head, ...leaves.slice(0, 12).map(row));
  }
}
