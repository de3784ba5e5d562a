"""Results of a sweep: a table, results.csv, results.json, a picture, and the best run."""

import csv
import io
import json
import shutil
import sys
from pathlib import Path

from keras_tuner.engine.trial import TrialStatus
from rich.console import Console
from rich.table import Table

from training.atomic import write_text
from training.sweep import picture

BEST = "best"
# Characters of a line of the table where nobody looks at a terminal.
WIDTH = 200


def rows(tuner) -> list[dict]:
    """A row for each trial, the best first, those without a score last.

    Returns:
        Dicts with trial, status, score, epoch (of the score), epochs, minutes, tokens, the values that
        differ, and the reason of a failure.
    """
    found = []
    objective = tuner.oracle.objective
    good = max if objective.direction == "max" else min
    for trial in tuner.oracle.trials.values():
        folder = tuner.folder_of(trial)
        records = folder.records()
        scored = [record for record in records if record.get(objective.name) == trial.score]
        is_scored = trial.status == TrialStatus.COMPLETED
        found.append(
            {
                "trial": trial.trial_id,
                "status": trial.status.lower(),
                "score": float(trial.score) if is_scored else None,
                "epoch": scored[0]["epoch"] if is_scored and scored else None,
                "epochs": len(records),
                "minutes": round(folder.seconds / 60, 2),
                "tokens": int(sum(record.get("tokens", 0) for record in records)),
                **tuner.values_of(trial),
                "reason": trial.message if trial.status == TrialStatus.FAILED else None,
            }
        )
    scored = [row for row in found if row["score"] is not None]
    scored.sort(key=lambda row: row["score"], reverse=good is max)
    return scored + [row for row in found if row["score"] is None]


def write(tuner) -> None:
    """Writes results.json and results.csv; while the sweep runs, those of the trials until now."""
    found = rows(tuner)
    objective = tuner.oracle.objective
    text = {"objective": objective.name, "mode": objective.direction, "trials": found}
    write_text(tuner.folder / "results.json", json.dumps(text, indent=1, ensure_ascii=False) + "\n")
    lines = io.StringIO()
    if found:
        writer = csv.DictWriter(lines, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)
    write_text(tuner.folder / "results.csv", lines.getvalue())


def finish(tuner) -> None:
    """Prints the table, draws the picture and copies the best run.

    Raises:
        ValueError: no trial has a score.
    """
    found = rows(tuner)
    name = tuner.oracle.objective.name
    show(found, name)
    scored = [row for row in found if row["score"] is not None]
    if not scored:
        last = next((row["reason"] for row in reversed(found) if row["reason"]), "none was run")
        raise ValueError(
            f"A sweep needs a trial that ends. Received: {len(found)}, all failed; the last: {last}"
        )
    picture.draw(scored, tuner.hypermodel.space, name, tuner.oracle.objective.direction, tuner.folder)
    best, output = scored[0], tuner.folder / BEST
    copy_run(tuner.folder_of(tuner.oracle.get_trial(best["trial"])).run, output)
    print(f"best: trial {best['trial']}, {name} {best['score']:.5g}; run folder: {output}")


def show(found: list[dict], objective: str) -> None:
    """Prints the rows as a table."""
    table = Table()
    names = [name for name in (found[0] if found else []) if name not in ("status", "reason", "tokens")]
    for name in names:
        table.add_column({"score": objective}.get(name, name))
    for row in found:
        cells = [_in_words(row[name]) for name in names]
        if row["score"] is None:
            cells[names.index("score")] = row["status"]
        table.add_row(*cells)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    console.print(table)
    for row in found:
        if row["reason"]:
            console.print(f"trial {row['trial']} failed: {row['reason']}", markup=False, highlight=False)


def copy_run(run: Path, output: Path) -> None:
    """Copies a run folder beside and renames it into place of the one that is there."""
    beside, before = (output.with_name(f".{name}-{output.name}") for name in ("incomplete", "before"))
    for path in (beside, before):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(run, beside)
    if output.exists():
        output.rename(before)
    beside.rename(output)
    shutil.rmtree(before, ignore_errors=True)


def _in_words(value):
    if value is None:
        return ""
    return f"{value:.5g}" if isinstance(value, float) else str(value)
