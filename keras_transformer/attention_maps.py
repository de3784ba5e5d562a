"""Attention weights as a picture (as in Bahdanau et al. 2015, figure 3; Xu et al. 2015, figure 3)."""

import functools
import math
from collections.abc import Sequence

import numpy as np

from keras_transformer.installation import needs

with needs("plot"):
    from matplotlib import font_manager
    from matplotlib.figure import Figure

# Inches of one piece in a heat map, and of the longest side of a figure: 4,000 dots at 100 an inch.
CELL, LONGEST = 0.28, 40.0
# Points; what is smaller nobody reads.
SMALLEST_FONT, FONT = 4.0, 10.0


def attention_map(
    weights: np.ndarray,
    source_pieces: Sequence[str],
    target_pieces: Sequence[str],
    title: str = "",
    columns: int = 4,
) -> Figure:
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
    columns = min(columns, len(weights))
    rows = math.ceil(len(weights) / columns)
    widest, highest = LONGEST / columns - 1.0, LONGEST / rows - 1.0
    cells = min(CELL, widest / len(source_pieces)), min(CELL, highest / len(target_pieces))
    panel = (1.0 + cells[0] * len(source_pieces), 1.0 + cells[1] * len(target_pieces))
    labels, fonts = visible([*source_pieces, *target_pieces])
    sides = labels[: len(source_pieces)], labels[len(source_pieces) :]
    figure, axes = _panels(len(weights), columns, panel, title)
    for head, axis in enumerate(axes):
        image = axis.imshow(weights[head], vmin=0.0, vmax=1.0, cmap="Blues", aspect="auto")
        for side, cell, set_ticks in zip(sides, cells, (axis.set_xticks, axis.set_yticks), strict=True):
            size = max(SMALLEST_FONT, min(FONT, 0.5 * 72 * cell))
            step = math.ceil(size / (72 * cell))  # every label, or every so many-th where they are too close
            style = {"fontfamily": fonts, "fontsize": size, "parse_math": False}
            set_ticks(range(0, len(side), step), side[::step], **style)
        axis.tick_params("x", rotation=90)
        if len(weights) > 1:
            axis.set_title(f"head {head}", fontsize=9)  # from 0, as everywhere
    figure.colorbar(image, ax=figure.axes, shrink=0.8, label="attention weight")
    return figure


def attention_over_image(
    image: np.ndarray, weights: np.ndarray, pieces: Sequence[str], title: str = "", columns: int = 6
) -> Figure:
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
    labels, fonts = visible(pieces)
    figure, axes = _panels(len(pieces), columns, (1.5, 0.4 + 1.5 * height / width), title)
    brightest = 255 if image.dtype == np.uint8 else 1.0
    for axis, grid, piece in zip(axes, weights, labels, strict=True):
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
        axis.set_title(piece, fontsize=9, fontfamily=fonts, parse_math=False)
    figure.colorbar(heat, ax=figure.axes, shrink=0.8, label="attention weight")
    return figure


def _panels(count, columns, size, title):
    """A figure with `count` panels of a size (width, height) in inches, and their axes."""
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    # Room for the title and the scale of the weights beside a single piece, too.
    size = max(3.6, columns * size[0] + 0.6), max(2.4, rows * size[1])
    figure = Figure(figsize=size, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes[count:]:
        axis.set_axis_off()
    labels, fonts = visible([title], blank=" ")
    figure.suptitle(labels[0], fontfamily=fonts, parse_math=False)
    return figure, axes[:count]


def visible(pieces: Sequence[str], blank: str = "\u2581") -> tuple[list[str], list[str]]:
    """Texts of a picture so that each of their characters can be seen, and the fonts that have them.

    Args:
        pieces: list of str.
        blank: what is drawn for a blank.

    Returns:
        List of str: what cannot be printed, or is in no font of this machine, is escaped as in Python. And
        a list of names, to be given as `fontfamily`.
    """
    pieces = [piece.replace(" ", blank) for piece in pieces]
    wanted = {char for piece in pieces for char in piece if char.isprintable()}
    fonts = ["DejaVu Sans"]  # matplotlib brings it
    known = wanted & _characters(font_manager.findfont(fonts[0]))
    if known != wanted:
        plain = [
            entry
            for entry in font_manager.fontManager.ttflist
            if entry.style == "normal" and not entry.name.startswith("Last Resort")  # which draws a box
        ]
        # The same ones each time, those of usual weight before bold and thin ones.
        for entry in sorted(plain, key=lambda entry: (entry.weight not in (400, "normal"), entry.name)):
            if known == wanted:
                break
            more = (wanted - known) & _characters(entry.fname)
            if more:
                fonts.append(entry.name)
                known |= more
    escaped = {
        char: char if char in known or char == blank else _escaped(char) for char in set("".join(pieces))
    }
    return ["".join(map(escaped.__getitem__, piece)) for piece in pieces], fonts


def _escaped(char):
    return char.encode("unicode_escape").decode("ascii")


@functools.cache
def _characters(path):
    """The characters of a font file; none of one that matplotlib cannot draw with."""
    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except (RuntimeError, OSError):
        return frozenset()
