"""The curves of runs: what is drawn of which run, and what is told of a file that was cut."""

import json

import pytest

from training import curves
from training.curves import Run

RECORDS = [
    {
        "epoch": 1,
        "steps": 7,
        "seconds": 60.0,
        "learning_rate": 0.1,
        "loss": 3.0,
        "val_loss": 3.5,
        "tokens": 9,
    },
    {"epoch": 2, "steps": 14, "seconds": 180.0, "learning_rate": 0.2, "loss": 2.0, "val_bleu": 7.0},
]


def make(folder, records=RECORDS, rest="", finished=True):
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("fit: {epochs: 9}\n")
    (folder / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in records) + rest)
    if finished:
        (folder / "model.keras").touch()
    return folder


def drawn(figure):
    """{title: {colour and style of a curve: its points}}."""
    return {
        axis.get_title(): {
            (line.get_color()[:3], line.get_linestyle()): list(zip(*line.get_data(), strict=True))
            for line in axis.get_lines()
        }
        for axis in figure.axes
        if axis.get_title()
    }


def test_each_entry_has_a_panel_and_each_run_a_colour():
    other = [{"epoch": 1, "seconds": 30.0, "loss": 1.0, "gradient_norm": 0.5, "new_entry": 2}]
    figure = curves.draw([Run("a", RECORDS, []), Run("b_$x$_\u044f", other, [])])
    found = drawn(figure)
    assert list(found) == ["loss", "BLEU", "new entry", "learning rate", "gradient norm"]
    assert [points for points in found["loss"].values()] == [[(1, 3.0), (2, 2.0)], [(1, 3.5)], [(1, 1.0)]]
    ((first, second),) = [{color for color, _ in found["loss"]}]
    assert first != second
    assert [style for _, style in found["loss"]] == ["--", "-", "--"]
    assert list(found["BLEU"].values()) == [[(2, 7.0)]]
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["a", "b_$x$_\u044f", "validation", "training"]


def test_time_and_steps_may_be_the_axis():
    run = Run("a", [*RECORDS, {"epoch": 3, "loss": 1.0}], [])
    minutes, steps = (drawn(curves.draw([run], x))["loss"] for x in ("minutes", "step"))
    assert next(iter(minutes.values())) == [(1.0, 3.0), (3.0, 2.0)]  # the third has no time
    assert next(iter(steps.values())) == [(7, 3.0), (14, 2.0)]


def test_what_is_no_number_is_left_out():
    records = [{"epoch": 1, "loss": float("nan"), "val_loss": "x", "val_bleu": float("inf"), "perplexity": 2}]
    assert curves.panels([Run("a", records, [])]) == {"perplexity": ["perplexity"]}


def test_runs_that_have_not_ended_are_drawn_and_broken_lines_told(tmp_path, capsys):
    runs = [make(tmp_path / "a", rest='[1]\n{"epoch": 3, "lo', finished=False), make(tmp_path / "b" / "a")]
    output = tmp_path / "curves.svg"
    curves.main([*map(str, runs), "--output", str(output)])
    printed = capsys.readouterr()
    assert printed.out == f"curves: {output}\n"
    assert printed.err == f"{runs[0]}/metrics.jsonl: not read, for it is no record of an epoch: line 3, 4\n"
    assert curves.read(runs[0], "a").name == "a (unfinished: 2 of 9 epochs)"
    assert output.read_text(encoding="utf-8").count("<svg") == 1


@pytest.mark.parametrize(
    ("name", "output", "message"),
    [
        ("run", "curves.gif", "`output` must be a file *.png, *.svg, *.pdf. Received: "),
        ("run", "no/curves.png", "`output` must be a file in a folder that exists."),
        ("no-run", "curves.png", "A run folder holds config.yaml."),
        ("empty", "curves.png", "A run must have ended an epoch. Received: "),
    ],
)
def test_what_cannot_be_drawn_is_told(fails, tmp_path, name, output, message):
    make(tmp_path / "run")
    make(tmp_path / "empty", records=[], finished=False)
    assert message in fails(curves.main, tmp_path / name, "--output", tmp_path / output)
    assert not (tmp_path / output).exists()
