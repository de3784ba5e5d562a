"""Attention weights as a picture (as in Bahdanau et al. 2015, figure 3)."""

import math

import numpy as np
from matplotlib.figure import Figure


def attention_map(weights, source_pieces, target_pieces, title="", columns=4):
    """Draws attention weights as heat maps: rows are target pieces, columns source pieces.

    Args:
        weights: (T, S), or (H, T, S) for one panel each head; 0 <= weight <= 1.
        source_pieces: S strings.
        target_pieces: T strings.
        title: of the figure.
        columns: panels in a row.

    Returns:
        A matplotlib figure; `figure.savefig("map.png")` writes it.

    Raises:
        ValueError: the numbers of pieces and weights differ.
    """
    weights = np.asarray(weights)
    weights = weights if weights.ndim == 3 else weights[None]
    expected = (len(target_pieces), len(source_pieces))
    if weights.shape[1:] != expected:
        raise ValueError(
            "`weights` must have one row for each target piece and one column for each source piece, "
            f"here {expected}. Received: weights of shape {weights.shape[1:]}."
        )
    heads = len(weights)
    columns = min(columns, heads)
    rows = math.ceil(heads / columns)
    panel = (1.0 + 0.28 * len(source_pieces), 1.0 + 0.28 * len(target_pieces))
    figure = Figure(figsize=(columns * panel[0] + 0.6, rows * panel[1]), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for head, axis in enumerate(axes.flat):
        if head >= heads:
            axis.set_axis_off()
            continue
        image = axis.imshow(weights[head], vmin=0.0, vmax=1.0, cmap="Blues", aspect="auto")
        axis.set_xticks(range(len(source_pieces)), source_pieces, rotation=90)
        axis.set_yticks(range(len(target_pieces)), target_pieces)
        if heads > 1:
            axis.set_title(f"head {head + 1}", fontsize=9)
    figure.colorbar(image, ax=axes, shrink=0.8, label="attention weight")
    figure.suptitle(title)
    return figure
