"""Draws docs/models/*.svg: what each model is made of, from its input below to its output above.

python -m website.diagrams
"""

from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parent.parent / "docs/models"
WIDTH, HEIGHT, GAP, MARGIN = 190, 34, 18, 24
# Readable on white and on black.
COLOURS = {"data": "#78909c", "layer": "#5e6bc0", "attention": "#8e44ad", "output": "#2e8b74"}

# name: columns, from left to right, of (kind, label) from below; then the arrows between columns,
# (column, box) -> (column, box).
ENCODER = [("attention", "self-attention"), ("layer", "feed-forward network")]
DIAGRAMS = {
    "transformer": (
        [
            [("data", "source ids"), ("layer", "embedding + positions"), *ENCODER],
            [
                ("data", "target ids so far"),
                ("layer", "embedding + positions"),
                ("attention", "masked self-attention"),
                ("attention", "attention to the source"),
                ("layer", "feed-forward network"),
                ("output", "soft-max over the vocabulary"),
            ],
        ],
        [((0, 3), (1, 3))],
    ),
    "rnn_seq2seq": (
        [
            [("data", "source ids"), ("layer", "embedding"), ("layer", "GRU or LSTM, both ways")],
            [
                ("data", "target ids so far"),
                ("layer", "embedding"),
                ("layer", "GRU or LSTM"),
                ("attention", "additive, dot, general, concat"),
                ("layer", "context and state joined"),
                ("output", "soft-max over the vocabulary"),
            ],
        ],
        [((0, 2), (1, 3))],
    ),
    "conv_seq2seq": (
        [
            [("data", "source ids"), ("layer", "embedding + positions"), ("layer", "gated convolutions")],
            [
                ("data", "target ids so far"),
                ("layer", "embedding + positions"),
                ("layer", "gated causal convolution"),
                ("attention", "attention of every layer"),
                ("output", "soft-max over the vocabulary"),
            ],
        ],
        [((0, 2), (1, 3))],
    ),
    "causal_lm": (
        [
            [
                ("data", "ids so far"),
                ("layer", "embedding + positions"),
                ("attention", "masked self-attention"),
                ("layer", "feed-forward network"),
                ("output", "soft-max: the next token"),
            ]
        ],
        [],
    ),
    "masked_lm": (
        [
            [
                ("data", "ids, some hidden"),
                ("layer", "embedding + positions"),
                *ENCODER,
                ("output", "soft-max at hidden tokens"),
            ]
        ],
        [],
    ),
    "text_classifier": (
        [
            [
                ("data", "ids of a text"),
                ("layer", "embedding + positions"),
                *ENCODER,
                ("layer", "first token, dense, tanh"),
                ("output", "soft-max over the classes"),
            ]
        ],
        [],
    ),
    "rnn_classifier": (
        [
            [
                ("data", "ids of a text"),
                ("layer", "embedding"),
                ("layer", "GRU or LSTM, both ways"),
                ("attention", "attention of one learnt query"),
                ("output", "soft-max over the classes"),
            ]
        ],
        [],
    ),
    "tagger": (
        [
            [
                ("data", "ids of a sentence"),
                ("layer", "embedding + positions"),
                *ENCODER,
                ("output", "soft-max at each word's first piece"),
            ]
        ],
        [],
    ),
    "image_captioner": (
        [
            [("data", "image"), ("layer", "residual convolutions"), ("data", "grid of features")],
            [
                ("data", "words so far"),
                ("layer", "embedding"),
                ("layer", "GRU, or Transformer's decoder"),
                ("attention", "attention over the grid"),
                ("output", "soft-max over the vocabulary"),
            ],
        ],
        [((0, 2), (1, 3))],
    ),
    "attention_cnn": (
        [
            [
                ("data", "image"),
                ("layer", "residual convolutions"),
                ("attention", "self-attention over the grid"),
                ("layer", "mean over the grid"),
                ("output", "soft-max over the classes"),
            ]
        ],
        [],
    ),
    "vit": (
        [
            [
                ("data", "image"),
                ("layer", "convolutions: patches"),
                *ENCODER,
                ("layer", "mean over the patches"),
                ("output", "soft-max over the classes"),
            ]
        ],
        [],
    ),
    "text_embedder": (
        [
            [
                ("data", "ids of a text"),
                ("layer", "embedding + positions"),
                *ENCODER,
                ("layer", "mean over the tokens"),
                ("output", "vector of length 1"),
            ]
        ],
        [],
    ),
}


def svg(columns, arrows):
    """The drawing; a box's place is the same in every column, counted from below."""
    rows = max(map(len, columns))
    width = MARGIN + len(columns) * (WIDTH + 2 * MARGIN) - MARGIN
    height = MARGIN * 2 + rows * (HEIGHT + GAP) - GAP
    left = [MARGIN + index * (WIDTH + 2 * MARGIN) for index in range(len(columns))]
    top = [height - MARGIN - HEIGHT - row * (HEIGHT + GAP) for row in range(rows)]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="12.5">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 8 4 0 8z" fill="#90a4ae"/></marker></defs>',
    ]

    def line(x0, y0, x1, y1):
        path = f'<path d="M{x0} {y0} {x1} {y1}" stroke="#90a4ae" stroke-width="1.6" fill="none" '
        lines.append(path + 'marker-end="url(#tip)"/>')

    for column, boxes in enumerate(columns):
        for row, (kind, label) in enumerate(boxes):
            middle = left[column] + WIDTH / 2
            lines += [
                f'<rect x="{left[column]}" y="{top[row]}" width="{WIDTH}" height="{HEIGHT}" rx="6" '
                f'fill="{COLOURS[kind]}"/>',
                f'<text x="{middle}" y="{top[row] + HEIGHT / 2 + 4}" fill="#fff" text-anchor="middle">'
                f"{escape(label)}</text>",
            ]
            if row:
                line(middle, top[row - 1], middle, top[row] + HEIGHT)
    for (from_column, from_row), (to_column, to_row) in arrows:
        line(
            left[from_column] + WIDTH,
            top[from_row] + HEIGHT / 2,
            left[to_column],
            top[to_row] + HEIGHT / 2,
        )
    return "\n".join([*lines, "</svg>", ""])


def main():
    """Writes all."""
    for name, (columns, arrows) in DIAGRAMS.items():
        (FOLDER / f"{name}.svg").write_text(svg(columns, arrows), encoding="utf-8")


if __name__ == "__main__":
    main()
