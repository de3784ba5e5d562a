"""Draws the curves of runs: python -m training.curves RUN [RUN ...] --output curves.png [--x minutes]

A panel for each entry of the logs: losses, measures of quality, learning rate and the rest. Each run has one
colour; what was measured on the training data is dashed, on validation data solid. A run that has not ended
is drawn as far as it came. Trials of a sweep are runs, too.
"""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import command_line
from training import picture_files, report_pictures, run_folder

FILE = "metrics.jsonl"
# Drawn last; all others come in the order of the logs, the loss first.
LAST = ("learning_rate", "gradient_norm", "tokens_per_second")
SKIPPED = ("epoch", "steps", "seconds", "tokens")
NAMES = {"bleu": "BLEU", "chrf": "chrF"}
COLUMNS = 3
WIDE = 40  # characters of a name that leave no room for another beside it


@dataclass(frozen=True)
class Run:
    """What is drawn of a run.

    Attributes:
        name: for the legend.
        records: a dict for each epoch.
        unread: numbers of the lines that are no record.
    """

    name: str
    records: list[dict]
    unread: list[int]


def main(arguments=None) -> None:
    """Reads the command line and draws."""
    parser = command_line.parser("training.curves", __doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    parser.add_argument("--output", type=Path, required=True, help="file to draw into: *.png, *.svg, *.pdf")
    parser.add_argument(
        "--x", type=Literal["epoch", "step", "minutes"], default="epoch", help="what curves are drawn against"
    )
    options = parser.parse_args(arguments)
    picture_files.check(options.output, "output")
    short = len({folder.absolute().name for folder in options.runs}) == len(options.runs)
    runs = [read(folder, folder.absolute().name if short else str(folder)) for folder in options.runs]
    for folder, run in zip(options.runs, runs, strict=True):
        if run.unread:
            numbers = ", ".join(map(str, run.unread))
            print(
                f"{folder / FILE}: not read, for it is no record of an epoch: line {numbers}", file=sys.stderr
            )
    if not any(run.records for run in runs):
        raise ValueError(f"A run must have ended an epoch. Received: {', '.join(map(str, options.runs))}.")
    picture_files.write(draw(runs, options.x), options.output)
    print(f"curves: {options.output}")


def read(folder: Path, name: str) -> Run:
    """Reads the curves of a run, finished or not.

    Raises:
        ValueError: the folder is no run folder.
    """
    config, records, unread = run_folder.load_config(folder), [], []
    path = folder / FILE
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict) and isinstance(record.get("epoch"), int | float):
            records.append(record)
        elif line.strip():
            unread.append(number)
    if not (folder / run_folder.MODEL_FILE).exists():
        name = f"{name} (unfinished: {len(records)} of {config.fit.epochs} epochs)"
    return Run(name, records, unread)


def panels(runs) -> dict[str, list[str]]:
    """Titles of the panels, each with the entries of the logs that it shows."""
    entries = dict.fromkeys(name for run in runs for record in run.records for name in record)
    titles = dict.fromkeys(name.removeprefix("val_") for name in entries if name not in SKIPPED)
    order = sorted(titles, key=lambda title: (title in LAST, title != "loss"))
    found = {title: [name for name in (title, f"val_{title}") if name in entries] for title in order}
    return {
        title: names for title, names in found.items() if any(points(run, "epoch", names) for run in runs)
    }


def points(run, x, names) -> dict[str, list[tuple[float, float]]]:
    """{name: list of (x, y)} of those entries that a run has numbers for."""
    found = {name: report_pictures.points_of(run.records, x, name) for name in names}
    return {name: pairs for name, pairs in found.items() if any(math.isfinite(y) for _, y in pairs)}


def draw(runs, x="epoch") -> Any:
    """The curves of runs as a matplotlib figure.

    Args:
        runs: list of `Run`.
        x: "epoch", "step" or "minutes".
    """
    import matplotlib
    from matplotlib.lines import Line2D

    from keras_transformer.attention_maps import visible

    drawn = panels(runs)
    columns = min(COLUMNS, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    beside = columns if max(len(run.name) for run in runs) <= WIDE else 1
    legend_height = 0.2 * math.ceil((len(runs) + 2) / beside)
    figure, axes = report_pictures.subplots(rows, columns, (4.0 * columns, 2.9 * rows + legend_height))
    several = matplotlib.colormaps["tab10" if len(runs) <= 10 else "turbo"]
    colors = [several(number if len(runs) <= 10 else number / (len(runs) - 1)) for number in range(len(runs))]
    styles = set()
    for axis, (title, names) in zip(axes, drawn.items(), strict=False):
        for run, color in zip(runs, colors, strict=True):
            for name, pairs in points(run, x, names).items():
                # An entry that has no counterpart of the validation is no part of the training data either.
                style = "--" if len(names) > 1 and name == title else "-"
                styles |= {style}
                marker = "o" if len(pairs) < 30 else None
                axis.plot(*zip(*pairs, strict=True), color=color, linestyle=style, marker=marker, ms=3)
        axis.set_title(NAMES.get(title, title.replace("_", " ")), fontsize=10, parse_math=False)
        axis.set_xlabel(x)
        if x != "minutes":
            axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.2)
    for axis in axes[len(drawn) :]:
        axis.set_axis_off()
    labels, fonts = visible([run.name for run in runs], blank=" ")
    handles = [Line2D([], [], color=color) for color in colors]
    if "--" in styles:
        labels += ["validation", "training"]
        handles += [Line2D([], [], color="grey", linestyle=style) for style in ("-", "--")]
    style = {"loc": "outside lower left", "ncols": beside, "frameon": False, "prop": {"family": fonts}}
    legend = figure.legend(handles, labels, **style)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


if __name__ == "__main__":
    command_line.run(main)
