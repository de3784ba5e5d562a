"""The command that measures: what it prints, and which search it was."""

import pytest

from command_line.search_options import SearchOptions
from training import evaluate, run_folder


def test_evaluation_prints_exact_match_and_writes_the_translations(run, tmp_path, capsys):
    output = tmp_path / "translations.txt"
    evaluate.main(["--run", str(run), "--data", "validation", "--output", str(output), "--beam", "1"])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("exact match") and line.endswith("  greedy")
    assert len(output.read_text().splitlines()) == 2000


def test_measures_name_their_search_and_come_with_the_translations(drawn_run, monkeypatch):
    sources, targets = [b"5 March 2031", b"", b"7"], [b"2031-03-05", b"", b"7"]
    monkeypatch.setattr(evaluate, "load_split", lambda *_: (sources, targets))
    measures, translations = evaluate.evaluate(drawn_run, search=SearchOptions(beam=2, max_length=5))
    assert measures == ["exact match 33.33 % (1 of 3)  beam 2, alpha 0.6, max_length 5"]
    assert translations[1] == "" and all(len(text) <= 5 for text in translations)


def test_bleu_and_chrf_come_with_their_signatures():
    lines = evaluate.corpus_measures(["a small dog runs ."], ["A small dog runs."], lowercase=True)
    assert lines[0].startswith("BLEU = 100.00") and "case:lc" in lines[0] and "version:" in lines[0]
    assert lines[1].startswith("chrF2 = ") and "version:" in lines[1]


def test_exact_match_counts_equal_strings():
    assert evaluate.exact_match(["a", "b", "c"], ["a", "x", "c"]) == "exact match 66.67 % (2 of 3)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--alpha", "-1"], "`alpha` must be a finite number >= 0. Received: alpha=-1.0."),
        (["--data", "tset"], "A split must be one of train, validation, test. Received: 'tset'."),
        (["--n_best", "2"], "unrecognized arguments: --n_best"),
    ],
)
def test_bad_options_are_told_before_a_model_is_loaded(fails, drawn_run, monkeypatch, arguments, message):
    monkeypatch.setattr("keras.models.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    assert message in fails(evaluate.main, "--run", drawn_run, *arguments)


def test_a_split_that_was_not_configured_is_refused(tmp_path):
    text = "data: {name: parallel_text, train: [a.tsv], max_length: 8, bucket_boundaries: [8]}\n"
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match="must have a test split. Received: none was configured"):
        evaluate.load_split(run_folder.load_config(tmp_path), "test")
