"""Attention weights as a picture (as in Bahdanau et al. 2015, figure 3; Xu et al. 2015, figure 3)."""

import math

import numpy as np

from keras_transformer.installation import needs

with needs("plot"):
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
    panel = (1.0 + 0.28 * len(source_pieces), 1.0 + 0.28 * len(target_pieces))
    figure, axes = _panels(len(weights), columns, panel, title)
    for head, axis in enumerate(axes):
        image = axis.imshow(weights[head], vmin=0.0, vmax=1.0, cmap="Blues", aspect="auto")
        axis.set_xticks(range(len(source_pieces)), source_pieces, rotation=90)
        axis.set_yticks(range(len(target_pieces)), target_pieces)
        if len(weights) > 1:
            axis.set_title(f"head {head + 1}", fontsize=9)
    figure.colorbar(image, ax=figure.axes, shrink=0.8, label="attention weight")
    return figure


def attention_over_image(image, weights, pieces, title="", columns=6):
    """Draws what was looked at for each piece of a caption: the image, once for each, under its weights.

    Args:
        image: (H, W), (H, W, 1) or (H, W, 3); uint8, or floats from 0 to 1.
        weights: (T, H', W'), of a grid that covers the image; 0 <= weight <= 1. From `decoding`'s
            `generate_with_attention`: a row of `soft_alignment`, in the shape of the model's `grid_shape`.
        pieces: T strings.
        title: of the figure.
        columns: panels in a row.

    Returns:
        A matplotlib figure. One scale of colours serves all panels, so that a piece for which the whole
        image was looked at stays pale.

    Raises:
        ValueError: `image` is no image, or the numbers of pieces and weights differ.
    """
    image, weights = np.asarray(image), np.asarray(weights)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim != 2 and image.shape[2:] != (3,):
        raise ValueError(f"`image` must be (H, W), (H, W, 1) or (H, W, 3). Received: shape {image.shape}.")
    if weights.ndim != 3 or len(weights) != len(pieces) or not len(pieces):
        raise ValueError(
            "`weights` must hold a grid for each piece, at least one. "
            f"Received: weights of shape {weights.shape}, {len(pieces)} pieces."
        )
    height, width = image.shape[:2]
    figure, axes = _panels(len(pieces), columns, (1.5, 0.4 + 1.5 * height / width), title)
    brightest = 255 if image.dtype == np.uint8 else 1.0
    for axis, grid, piece in zip(axes, weights, pieces, strict=True):
        axis.imshow(image, vmin=0, vmax=brightest, cmap="gray")
        # Cells as they are: smoothed, they would claim more places than were weighed.
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        heat = axis.imshow(
            grid,
            vmin=0.0,
            vmax=weights.max(),
            cmap="inferno",
            alpha=0.6,
            extent=extent,
            interpolation="nearest",
        )
        axis.set_axis_off()
        axis.set_title(piece, fontsize=9)
    figure.colorbar(heat, ax=figure.axes, shrink=0.8, label="attention weight")
    return figure


def _panels(count, columns, size, title):
    """A figure with `count` panels of a size (width, height) in inches, and their axes."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(columns * size[0] + 0.6, rows * size[1]), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[count:]:
        axis.set_axis_off()
    figure.suptitle(title)
    return figure, axes[:count]
