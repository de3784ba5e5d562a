// What a run attended to, as the page holds it: whole numbers, compressed, of the weights' square roots.

// The weights of a view, (layers, heads, rows, columns), and means of them.
export class Weights {
  constructor(view, numbers, levels) {
    [this.layers, this.heads, this.rows, this.columns] = view.shape;
    this.numbers = numbers;
    this.squares = Float32Array.from({ length: levels + 1 }, (_, number) => (number / levels) ** 2);
    this.kept = new Map();
  }

  // (rows * columns) of a layer and a head; the mean over all where one is null.
  of(layer, head) {
    const key = `${layer} ${head}`;
    if (!this.kept.has(key)) this.kept.set(key, this.mean(layer, head));
    return this.kept.get(key);
  }

  mean(layer, head) {
    const size = this.rows * this.columns;
    const found = new Float32Array(size);
    const layers = layer === null ? [...Array(this.layers).keys()] : [layer];
    const heads = head === null ? [...Array(this.heads).keys()] : [head];
    for (const one of layers) {
      for (const other of heads) {
        const start = (one * this.heads + other) * size;
        for (let i = 0; i < size; i++) found[i] += this.squares[this.numbers[start + i]];
      }
    }
    const count = layers.length * heads.length;
    if (count > 1) for (let i = 0; i < size; i++) found[i] /= count;
    return found;
  }
}

export async function readWeights(view, bits) {
  const packed = Uint8Array.from(atob(view.weights), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const numbers = bits === 16 ? new Uint16Array(buffer) : new Uint8Array(buffer);
  return new Weights(view, numbers, 2 ** bits - 1);
}

// What a piece attends to (its row), or what attends to it (its column); null if there is no piece in focus.
export function weightsOf(weights, columns, focus) {
  if (!focus) return null;
  if (focus.side === "row") return weights.subarray(focus.index * columns, (focus.index + 1) * columns);
  const found = new Float32Array(weights.length / columns);
  for (let row = 0; row < found.length; row++) found[row] = weights[row * columns + focus.index];
  return found;
}
