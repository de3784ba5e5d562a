"""The pictures of a report, curves of a training and quality by length: SVG in the page's colours."""

import contextlib
import html
import io
import math
import re
from collections.abc import Iterator
from typing import Any

# Stands for the page's own text colour, light or dark, until the picture is written.
INK = "#010203"
# Where a record says when it was made, by the name on the axis.
AXES = {"epoch": "epoch", "step": "steps", "minutes": "seconds"}
COLUMNS = 3
NUM_BUCKETS = 8


@contextlib.contextmanager
def style() -> Iterator[None]:
    """While a picture is drawn and written: lines and text in `INK`, text as text, equal names each time."""
    import matplotlib

    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    settings = dict.fromkeys(inked, INK)
    settings |= {"axes.spines.top": False, "axes.spines.right": False, "font.size": 9}
    settings |= {"svg.fonttype": "none", "svg.hashsalt": "report", "font.family": "sans-serif"}
    with matplotlib.rc_context(settings):
        yield


@style()
def curves(records, quality: str, title: str) -> str:
    """The curves of a training as one picture; "" if there is nothing to draw.

    Args:
        records: the lines of metrics.jsonl, a dict for each epoch.
        quality: the entry that tells the quality, "val_bleu".
        title: its title.
    """
    panels = [
        ("loss", "epoch", {"training": "loss", "validation": "val_loss"}),
        (f"{title}, validation", "epoch", {"validation": quality}),
        (f"{title}, validation", "minutes", {"validation": quality}),
        ("learning rate", "epoch", {"": "learning_rate"}),
        ("norm of the gradient", "epoch", {"": "gradient_norm"}),
        ("tokens per second", "epoch", {"": "tokens_per_second"}),
    ]
    drawn = []
    for headline, x_name, lines in panels:
        points = {label: points_of(records, x_name, name) for label, name in lines.items()}
        points = {label: found for label, found in points.items() if found}
        if points:
            drawn.append((headline, x_name, points))
    if not drawn:
        return ""
    columns = min(COLUMNS, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    figure, axes = subplots(rows, columns, (3.5 * columns, 2.7 * rows))
    for axis in axes[len(drawn) :]:
        axis.set_axis_off()
    for axis, (headline, x_name, points) in zip(axes, drawn, strict=False):
        for label, found in points.items():
            axis.plot(*zip(*found, strict=True), label=label, marker="o" if len(found) < 30 else None, ms=3)
        axis.set_title(headline, fontsize=10)
        axis.set_xlabel(x_name)
        if x_name == "epoch":
            axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.2)
        if len(points) > 1:
            axis.legend(frameon=False)
    return svg(figure, "curves", "Curves of the training")


def points_of(records, x_name, name) -> list[tuple[float, float]]:
    """The points (x, y) of an entry of the records, of those that have numbers for both."""
    x_key = AXES[x_name]
    return [
        (record[x_key] / (60 if x_name == "minutes" else 1), record[name])
        for record in records
        if all(isinstance(record.get(key), int | float) for key in (x_key, name))
    ]


@style()
def by_length(buckets, values, name: str) -> str:
    """Quality by the length of the source, with the number of sentences of each length, as a picture.

    Args:
        buckets: what `length_buckets` gave.
        values: the quality of each, None for an empty one.
        name: of the measure.
    """
    figure, (axis,) = subplots(1, 1, (10.5, 3.2))
    heights = [0.0 if value is None else value for value in values]
    bars = axis.bar(range(len(buckets)), heights, width=0.7)
    axis.bar_label(bars, ["" if value is None else f"{value:.1f}" for value in values], padding=2)
    labels = [f"{label}\n{len(indices):,}" for label, indices in buckets]
    axis.set_xticks(range(len(buckets)), labels)
    axis.set_xlabel("tokens of the source; number of sentences")
    axis.set_ylabel(name)
    axis.margins(y=0.12)
    return svg(figure, "lengths", f"{name} by length of the source")


def length_buckets(lengths) -> Any:
    """Groups sentences by length: about `NUM_BUCKETS` ranges of a round size, the last one open.

    Args:
        lengths: N numbers of tokens.

    Returns:
        List of (label, numbers of the sentences in it), in the order of the lengths.
    """
    longest = max(lengths)
    usual = sorted(lengths)[math.ceil(0.98 * len(lengths)) - 1]  # a few very long ones share the last range
    sizes = (digit * 10**power for power in range(10) for digit in (1, 2, 5))
    size = next(size for size in sizes if size * NUM_BUCKETS >= usual)
    count = max(1, math.ceil(usual / size))
    buckets = [[] for _ in range(count)]
    for index, length in enumerate(lengths):
        buckets[min(max(length - 1, 0) // size, count - 1)].append(index)
    labels = [f"{number * size + 1} to {(number + 1) * size}" for number in range(count)]
    if longest > count * size:
        labels[-1] = f"{(count - 1) * size + 1} and more"
    return list(zip(labels, buckets, strict=True))


def subplots(rows, columns, size) -> tuple[Any, list]:
    """A figure without pyplot, and its axes as a list."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def svg(figure, name: str, title: str) -> str:
    """A figure as an <svg> element for a page: no link to anywhere, names of its own, the page's colours.

    Args:
        figure: a matplotlib figure, drawn in `style`.
        name: unique on the page.
        title: what is seen, for who cannot see it.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
    drawn = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", drawn)
    drawn = re.sub(r' xmlns(:xlink)?="[^"]*"', "", drawn)  # inside HTML they are known
    return drawn.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)
