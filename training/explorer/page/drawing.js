// Elements, canvases and colours that all views share.

export function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// A text that can be seen: blanks and line ends have signs, as on the pictures of the command line.
export function visible(piece) {
  return piece === "" ? "∅" : piece.replaceAll(" ", "▁").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
}

// A canvas of this size in CSS pixels, cleared, and its context.
export function context(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const drawn = canvas.getContext("2d");
  drawn.setTransform(ratio, 0, 0, ratio, 0, 0);
  return drawn;
}

// Colours of the page, light or dark.
export function theme() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  return {
    ink: value("--ink"), soft: value("--soft"), line: value("--line"), card: value("--card"), pin: value("--pin"),
    accent: value("--accent"), heat: value("--heat").split(",").map(Number),
    isDark: matchMedia("(prefers-color-scheme: dark)").matches,
  };
}

export function heatColor(colors, strength) {
  return `rgba(${colors.heat.join(",")},${strength})`;
}

// Heads of a layer that are drawn together have a hue each, as in figure 5 of the paper.
export function headColor(colors, head, heads) {
  return `hsl(${Math.round((360 * head) / heads + 215) % 360} 75% ${colors.isDark ? 68 : 42}%)`;
}

// Shades grow with the square root, so that weights of many pieces can still be seen.
export function shade(weight) {
  return Math.sqrt(weight);
}

// Weights as a small picture, a pixel for each.
export function pixels(weights, rows, columns, colors) {
  const canvas = make("canvas", { width: columns, height: rows });
  const drawn = canvas.getContext("2d");
  const image = drawn.createImageData(columns, rows);
  const [red, green, blue] = colors.heat;
  for (let i = 0; i < weights.length; i++) {
    image.data[4 * i] = red;
    image.data[4 * i + 1] = green;
    image.data[4 * i + 2] = blue;
    image.data[4 * i + 3] = 255 * shade(weights[i]);
  }
  drawn.putImageData(image, 0, 0);
  return canvas;
}

// An element that shows a piece; `side` and `index` are what main.js looks for below the pointer.
export function pieceElement(tag, piece, side, index) {
  const node = make(tag, { className: "piece", textContent: visible(piece), dir: "auto", tabIndex: 0, title: piece });
  node.dataset.side = side;
  node.dataset.index = index;
  return node;
}

// Shades pieces by weights, and marks the one in focus.
export function shadePieces(nodes, weights, focus, side) {
  nodes.forEach((node, index) => {
    const isFocus = Boolean(focus) && focus.side === side && focus.index === index;
    node.style.setProperty("--w", weights ? shade(weights[index]).toFixed(3) : 0);
    node.classList.toggle("focused", isFocus && !focus.isPinned);
    node.classList.toggle("pinned", isFocus && focus.isPinned);
  });
}
