"""The options of a search: which search they mean, what they are called in errors and in reports."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import command_line
from command_line.search_options import OWN, SearchOptions
from keras_transformer import decoding

ROOT = Path(__file__).resolve().parents[2]


def parsed(*arguments):
    parser = command_line.parser("a.command", "")
    parser.add_class_arguments(SearchOptions, as_group=False)
    return SearchOptions.read(parser.parse_args(arguments))


@pytest.mark.parametrize(
    ("arguments", "search", "words"),
    [
        ([], decoding.BeamSearch(9, width=4, alpha=0.6), "beam 4, alpha 0.6"),
        (["--n_best", "3"], decoding.BeamSearch(9, n_best=3), "beam 4, alpha 0.6, n_best 3"),
        (["--beam", "1"], decoding.Greedy(9), "greedy"),
        (["--beam", "1", "--alpha", "0"], decoding.BeamSearch(9, width=1, alpha=0), "beam 1, alpha 0.0"),
        (["--alpha", "1", "--beam", "5"], decoding.BeamSearch(9, width=5, alpha=1), "beam 5, alpha 1.0"),
        (
            ["--coverage_penalty", "0.2"],
            decoding.BeamSearch(9, coverage_penalty=0.2),
            "beam 4, alpha 0.6, coverage_penalty 0.2",
        ),
        (["--seed", "0"], decoding.Sampling(9, seed=0), "sampling, seed 0"),
        (
            ["--temperature", "0.7", "--top_k", "5", "--n_best", "6"],
            decoding.Sampling(9, temperature=0.7, top_k=5, num_samples=6),
            "sampling, temperature 0.7, top_k 5, n_best 6",
        ),
        (
            ["--top_p", "0.9", "--min_p", "0.1"],
            decoding.Sampling(9, top_p=0.9, min_p=0.1),
            "sampling, top_p 0.9, min_p 0.1",
        ),
        (
            [
                "--beam",
                "1",
                "--max_length",
                "7",
                "--min_length",
                "2",
                "--max_ratio",
                "2",
                "--min_ratio",
                "0.5",
            ]
            + ["--no_repeat_ngram_size", "3", "--repetition_penalty", "1.2"],
            decoding.Greedy(
                7,
                min_length=2,
                max_ratio=2.0,
                min_ratio=0.5,
                no_repeat_ngram_size=3,
                repetition_penalty=1.2,
            ),
            "greedy, max_length 7, min_length 2, max_ratio 2.0, min_ratio 0.5, no_repeat_ngram_size 3, "
            "repetition_penalty 1.2",
        ),
    ],
)
def test_options_mean_a_search_and_name_it(arguments, search, words):
    options = parsed(*arguments)
    assert options.search(max_length=9) == search
    assert str(options) == words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "`beam` must be a positive integer and at most 65536. Received: beam=0."),
        ({"n_best": 0}, "`n_best` must be a positive integer and at most 65536. Received: n_best=0."),
        (
            {"n_best": 10**11, "top_k": 3},
            "`n_best` must be a positive integer and at most 65536. Received: n_best=100000000000.",
        ),
        (
            {"beam": 99999999999},
            "`beam` must be a positive integer and at most 65536. Received: beam=99999999999.",
        ),
        ({"beam": 2, "n_best": 3}, "`n_best` must be a positive integer and at most 2. Received: n_best=3."),
        ({"alpha": float("nan")}, "`alpha` must be a finite number >= 0. Received: alpha=nan."),
        ({"temperature": 0.0}, "`temperature` must be a finite number > 0. Received: temperature=0.0."),
        (
            {"max_length": 0},
            "`max_length` must be a positive integer and at most 1048576. Received: max_length=0.",
        ),
        (
            {"alpha": 0.5, "top_k": 3},
            "Give options of beam search (beam, alpha, coverage_penalty) or of sampling (temperature, top_k, "
            "top_p, min_p, seed), not of both. Received: {'alpha': 0.5, 'top_k': 3}.",
        ),
    ],
)
def test_errors_use_the_names_of_the_options(options, message):
    with pytest.raises(ValueError) as error:
        SearchOptions(**options).search(max_length=9)
    assert str(error.value) == message


@pytest.mark.parametrize("value", [2**31, 10**11, 10**400])
@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(SearchOptions)])
def test_every_option_has_a_range_that_a_graph_can_hold(name, value):
    """Whether the command line, Python or another program gives it."""
    kind = {field.name: field.type for field in dataclasses.fields(SearchOptions)}[name]
    if name == "seed":  # of any size, see `decoding.draws`
        assert SearchOptions(seed=value).search(max_length=9).seed == value
    elif "float" not in str(kind) or value == 10**400:
        with pytest.raises(ValueError, match=rf"`{name}` must be .*Received: {name}="):
            SearchOptions(**{name: value}).search(max_length=9)


def test_numbers_that_float32_does_not_hold_are_refused():
    for options in ({"temperature": 1e-50}, {"alpha": 1e39}, {"min_ratio": 1e300}, {"max_ratio": 1e-60}):
        (name,) = options
        with pytest.raises(ValueError, match=f"`{name}` must be a finite number"):
            SearchOptions(**options).search(max_length=9)


def test_an_option_that_a_command_leaves_out_keeps_its_default():
    parser = command_line.parser("a.command", "")
    parser.add_class_arguments(SearchOptions, as_group=False, skip={"n_best"})
    assert SearchOptions.read(parser.parse_args(["--beam", "3"])) == SearchOptions(beam=3)


def test_every_field_of_a_search_has_its_option():
    ours = {field.name for field in dataclasses.fields(SearchOptions)}
    renamed = {"width": "beam", "num_samples": "n_best"}
    for search in (decoding.Greedy, decoding.BeamSearch, decoding.Sampling):
        theirs = {renamed.get(field.name, field.name) for field in dataclasses.fields(search)}
        assert theirs - {"start_id", "end_id", "pad_id"} <= ours
    assert {name for names in OWN.values() for name in names} <= ours


def test_an_option_is_described_in_three_files_and_the_search_alone_knows_its_default():
    docs, texts = (ROOT / "docs" / "decoding.md").read_text(encoding="utf-8"), {}
    for folder in ("keras_transformer", "command_line", "training", "serving"):
        for file in (ROOT / folder).rglob("*.py"):
            texts[file.relative_to(ROOT).as_posix()] = file.read_text(encoding="utf-8")
    ids = {"start_id", "end_id", "pad_id"}
    # Words of other things, too: of models and data, of sub-words, of results.
    common = {"max_length", "min_length", "seed", "alpha", "temperature", "top_k", "beam", "n_best"}
    for search in (decoding.BeamSearch, decoding.Sampling):
        for field in dataclasses.fields(search):
            name = {"width": "beam", "num_samples": "n_best"}.get(field.name, field.name)
            if name in ids | {"max_length"}:
                continue
            assert f"`{field.name}`" in docs, f"{name} needs a row in a table"
            default = getattr(SearchOptions(), name)
            assert default is None or default == field.default, f"{name} must have the search's default"
            if name not in common:
                found = {file for file, text in texts.items() if re.search(rf"\b{name}\b", text)}
                assert len(found) == 2 and "command_line/search_options.py" in found, found


def test_help_and_misspelt_options_need_no_keras():
    program = """
import sys
import command_line
from command_line.search_options import SearchOptions
parser = command_line.parser("a.command", "")
parser.add_class_arguments(SearchOptions, as_group=False)
SearchOptions.read(parser.parse_args(["--beam", "3"]))
assert not {"keras", "tensorflow", "keras_transformer"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
