"""A picture of a sweep: each trial a line through its values to its score; and which fields mattered."""

import math
import warnings
from pathlib import Path

from training.report_pictures import subplots

FILE = "results.png"
# Fewer trials say nothing about importance.
ENOUGH = 10


def draw(scored: list[dict], space, objective: str, direction: str, folder: Path) -> None:
    """Writes results.png.

    Args:
        scored: the rows of the trials that have a score, the best first; see `results.rows`.
        space: the fields that differ.
        objective: name of the score.
        direction: "max" or "min".
        folder: of the sweep.
    """
    axes = [(field.name, _scale(field), _ticks(field)) for field in space]
    epochs = [row["epochs"] for row in scored]
    if min(epochs) < max(epochs):  # Hyperband's, or trials that ended early
        low, high = min(epochs), max(epochs)
        axes.append(("epochs", lambda value: (value - low) / (high - low), [low, high]))
    points = [[scale(row[name]) for name, scale, _ in axes] for row in scored]
    scores = [row["score"] for row in scored]
    shares = importance(points, scores) if len(scored) >= ENOUGH else None

    columns = 1 if shares is None else 2
    width = max(6.0, 1.6 * (len(axes) + 1))
    figure, (lines, *rest) = subplots(1, columns, (width + 4.0 * (columns - 1), 4.2))
    _lines(lines, axes, points, scores, objective, direction)
    if rest:
        order = sorted(range(len(axes)), key=lambda index: shares[index])
        rest[0].barh([axes[index][0] for index in order], [shares[index] for index in order])
        rest[0].set_xlabel("loss of R² when the values are shuffled")
        rest[0].set_title("importance", fontsize=10)
    beside = folder / f".incomplete-{FILE}"
    figure.savefig(beside, dpi=120)
    beside.replace(folder / FILE)


def importance(points, scores) -> list[float]:
    """How much each field matters: permutation importance (Breiman 2001) in a random forest of the scores.

    Args:
        points: of each trial, its values from 0 to 1.
        scores: of each trial.

    Returns:
        For each field by how much R squared falls when its values are shuffled among the trials.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    forest = RandomForestRegressor(200, min_samples_leaf=2, random_state=0).fit(points, scores)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # equal scores
        found = permutation_importance(forest, points, scores, n_repeats=20, random_state=0)
    return [max(0.0, float(value)) for value in found.importances_mean]


def _scale(field):
    """A function from a value of the field to its height, 0 to 1."""
    if field.kind in ("choice", "boolean"):
        return lambda value: field.values.index(value) / (len(field.values) - 1)
    low, high = field.values
    if field.sampling == "linear":
        return lambda value: (value - low) / (high - low)
    if field.sampling == "log":
        return lambda value: math.log(value / low) / math.log(high / low)
    return lambda value: 1 - math.log((low + high - value) / low) / math.log(high / low)


def _ticks(field):
    if field.kind in ("choice", "boolean"):
        return list(field.values)
    low, high = field.values
    if field.sampling == "log":
        middle = math.sqrt(low * high)
        return [low, round(middle) if field.kind == "int" else float(f"{middle:.2g}"), high]
    return [low, high]


def _lines(axis, axes, points, scores, objective, direction):
    from matplotlib import colormaps

    low, high = min(scores), max(scores)
    span = (high - low) or 1.0
    places = range(len(axes) + 1)
    for index in reversed(range(len(points))):  # the best is drawn last
        height = (scores[index] - low) / span
        good = height if direction == "max" else 1 - height
        axis.plot(
            places,
            [*points[index], height],
            color=colormaps["viridis"](good),
            linewidth=2.5 if index == 0 else 1.0,
            alpha=1.0 if index == 0 else 0.6,
        )
    ticks = [*((place, ticks, scale) for place, (_, scale, ticks) in enumerate(axes))]
    ticks.append((len(axes), [low, high] if high > low else [low], lambda score: (score - low) / span))
    for place, values, scale in ticks:
        axis.axvline(place, color="0.7", linewidth=0.8)
        for value in values:
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            axis.annotate(text, (place, scale(value)), (3, 2), textcoords="offset points", fontsize=7)
    names = [name for name, _, _ in axes] + [objective]
    axis.set_xticks(list(places), [name.replace(".", ".\n") for name in names], fontsize=8)
    axis.set_yticks([])
    axis.spines[["left", "right", "top", "bottom"]].set_visible(False)
    axis.set_title(f"{len(points)} trials; yellow is good, the best is thick", fontsize=10)
