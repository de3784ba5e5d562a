"""The command that measures: what it prints, which search it was, and what it compares with."""

import re
from types import SimpleNamespace

import pytest
import tensorflow as tf

from command_line.search_options import SearchOptions
from keras_transformer import decoding, quality
from keras_transformer.pipelines.text_graphs import end_and_pad
from keras_transformer.pipelines.translator import Translator
from tests.conftest import HELD_OUT
from tests.tiny_runs import MAX_LENGTH
from training import evaluate, run_folder

SOURCES = [b"5 March 2031", b"", b"7"]
TARGETS = [b"2031-03-05", b"", b"7"]


@pytest.fixture
def three_pairs(monkeypatch):
    """In place of the dates of the test split."""
    monkeypatch.setattr(evaluate.corpora, "load_split", lambda *_: (SOURCES, TARGETS))


@pytest.fixture
def no_model(monkeypatch):
    monkeypatch.setattr("keras.models.load_model", lambda *_, **__: pytest.fail("a model was loaded"))


@pytest.fixture
def stubbed(monkeypatch):
    """Translators that need no model; the list of those that were made."""
    made = []

    def from_run(run, *arguments):
        search = arguments[0]
        made.append(
            SimpleNamespace(
                run=run,
                arguments=arguments,
                search=search if isinstance(search, decoding.Search) else search(MAX_LENGTH),
                translate=lambda sources: [text.decode().lower() for text in sources],
                source_tokenizer=SimpleNamespace(tokenize=tf.strings.bytes_split),
            )
        )
        return made[-1]

    monkeypatch.setattr(Translator, "from_run", from_run)
    monkeypatch.setattr(evaluate, "perplexity", lambda *_: quality.Measured("perplexity", 2.0, "", "x"))
    return made


def test_evaluation_prints_exact_match_and_writes_the_translations(run, tmp_path, capsys):
    output, report = tmp_path / "translations.txt", tmp_path / "new"
    given = ["--run", str(run), "--data", "validation", "--output", str(output), "--beam", "1"]
    evaluate.main([*given, "--report", str(report)])
    exact, chrf, perplexity, written = capsys.readouterr().out.splitlines()
    expected = rf"exact match = \d+\.\d\d \(\d+ of {HELD_OUT}\)  nrefs:1\|case:mixed\|.*  greedy"
    assert re.fullmatch(expected, exact)
    assert chrf.startswith("chrF2 = ") and chrf.endswith("  greedy")
    assert perplexity.startswith("perplexity = ") and "greedy" not in perplexity
    assert len(output.read_text().splitlines()) == HELD_OUT
    assert written == f"report: {report / 'report.html'}"
    text = (report / "report.html").read_text(encoding="utf-8")
    assert "exact match by length of the source" in text
    assert text.count("<svg ") == 2  # with the curves of the training


def test_measures_name_their_search_and_come_with_the_translations(drawn_run, three_pairs):
    found = evaluate.evaluate(drawn_run, search=SearchOptions(beam=1, max_length=5))
    line = found.lines()[0]
    assert line.startswith("exact match = 33.33 (1 of 3)") and line.endswith("  greedy, max_length 5")
    assert found.translations[1] == "" and all(len(text) <= 5 for text in found.translations)
    assert (found.sources, found.references) == (["5 March 2031", "", "7"], ["2031-03-05", "", "7"])
    assert found.source_lengths == [12, 0, 1] and found.compared == []
    # Perplexity is that of the references' tokens with their ends.
    translator = Translator.from_run(drawn_run)
    target_ids = end_and_pad(translator.target_tokenizer.tokenize(TARGETS), 100)
    expected = decoding.perplexity(
        translator.model, [({"source_ids": translator.source_ids(SOURCES)}, target_ids)]
    )
    *_, last = found.measures
    assert last.name == "perplexity" and last.value == pytest.approx(expected, rel=1e-4)
    assert last.details == f"({10 + 0 + 1 + 3} tokens)"
    assert last.signature == "nrefs:1|case:mixed|tok:bpe|vocabulary:15|end:yes|log:e|smooth:none"


def test_translations_are_measured_in_the_usual_order(drawn_run, three_pairs, stubbed, monkeypatch):
    monkeypatch.setattr(evaluate, "EXACT", ())
    lines = evaluate.evaluate(drawn_run).lines()
    names = [line.split(" = ")[0] for line in lines]
    assert names == ["BLEU", "chrF2++", "chrF2", "TER", "exact match", "perplexity"]
    assert all("case:mixed" in line and line.endswith("  beam 4, alpha 0.6") for line in lines[:-1])


def test_other_systems_are_runs_and_files(drawn_run, run, three_pairs, tmp_path, capsys):
    perfect, own = tmp_path / "perfect.txt", tmp_path / "own.txt"
    perfect.write_text("2031-03-05\n\n7\n")
    command = ["--run", str(drawn_run), "--beam", "1"]
    evaluate.main([*command, "--output", str(own)])
    capsys.readouterr()
    others = [str(perfect), str(own), str(run)]
    evaluate.main([*command, *(word for other in others for word in ("--against", other))])
    lines = capsys.readouterr().out.splitlines()[3:]
    for part, name in ((lines[:6], "exact match"), (lines[6:], "chrF2")):
        assert part[0] == "" and part[1].startswith(f"{name}, ") and "bs:1000|seed:12345" in part[1]
        rows = [line.split() for line in part[2:]]
        assert [row[0] for row in rows] == [str(drawn_run), *others]
        assert rows[1][1] == "100.00"
        assert rows[2][1:5] == rows[0][1:5] and rows[2][-1] == "1.0000"
        assert rows[0][-2] != "=" and [row[-2] for row in rows[1:]] == ["="] * 3


def test_systems_are_what_the_options_say(drawn_run, run, three_pairs, stubbed):
    others = [str(run), str(drawn_run)]
    search = SearchOptions(beam=1, max_length=3)
    found = evaluate.evaluate(drawn_run, "test", None, search, ["another"], "best", others)
    # The others are their model.keras, alone, with the same search.
    assert [made.arguments[1:] for made in stubbed[:2]] == [(), ()]
    assert [made.run for made in stubbed] == [*others, drawn_run]
    assert stubbed[2].arguments[1:] == (["another"], "best")
    assert [made.search for made in stubbed] == [decoding.Greedy(max_length=3)] * 3
    # The same run may be compared with a checkpoint of its own.
    assert found.system == f"{drawn_run} (best) + another"
    assert [row.system for row in found.compared] == [found.system, *others] * 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\n", "one line for each source. Received: {other} with 2 lines for 3 sources."),
        ("a\nb\nc\n\n", "Received: {other} with 4 lines for 3 sources."),
        (None, "A text file must exist. Received: {other}."),
    ],
)
def test_another_number_of_lines_is_never_compared(
    fails, drawn_run, three_pairs, no_model, tmp_path, text, message
):
    other = tmp_path / "other.txt"
    if text is not None:
        other.write_text(text)
    line = fails(evaluate.main, "--run", drawn_run, "--against", other)
    assert message.format(other=other) in line


def test_what_cannot_be_compared_is_told_before_the_translation(
    fails, drawn_run, three_pairs, tmp_path, monkeypatch
):
    monkeypatch.setattr(Translator, "translate", lambda *_: pytest.fail("it was translated"))
    line = fails(evaluate.main, "--run", drawn_run, "--against", tmp_path)
    assert f"A run folder holds tokenizer/source, tokenizer/target. Received: {tmp_path}" in line
    line = fails(evaluate.main, "--run", drawn_run, "--against", drawn_run)
    assert f"`against` must name another system each time. Received: {drawn_run} twice." in line
    file = tmp_path / "other.txt"
    file.write_text("a\nb\nc\n")
    line = fails(evaluate.main, "--run", drawn_run, "--against", file, "--output", file)
    assert "`output` must be another file than the input" in line and file.read_text() == "a\nb\nc\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alpha", "-1"], "`alpha` must be a finite number >= 0. Received: alpha=-1.0."),
        (["--data", "tset"], "A split must be one of train, validation, test. Received: 'tset'."),
        (["--n_best", "2"], "unrecognized arguments: --n_best"),
        (["--report", "/dev/null/page"], "A report needs a folder that can be written."),
        (["--checkpoint", "best"], "There must be a best checkpoint."),
    ],
)
def test_bad_options_are_told_before_a_model_is_loaded(fails, drawn_run, no_model, arguments, message):
    assert message in fails(evaluate.main, "--run", drawn_run, *arguments)


def test_a_split_that_was_not_configured_is_refused(tmp_path):
    text = "data: {name: parallel_text, train: [a.tsv], max_length: 8, bucket_boundaries: [8]}\n"
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match="must have a test split. Received: none was configured"):
        evaluate.corpora.load_split(run_folder.load_config(tmp_path), "test")
