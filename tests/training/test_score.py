"""The command that scores: what it adds up, in which order, and the pairs it refuses."""

import json
import math
import re

import numpy as np
import pytest

from keras_transformer import decoding
from keras_transformer.pipelines.text_graphs import end_and_pad
from keras_transformer.pipelines.translator import Translator
from training import score

SOURCES = ["5 March 2031", "May", "2. 3. 1999", "7", "Mai 12, 1987"]
TARGETS = ["2031-03-05", "-", "1999-03-02", "77777777777777", "3"]


@pytest.fixture(scope="module")
def translator(drawn_run):
    return Translator.from_run(drawn_run)


@pytest.fixture(scope="module")
def graph(translator):
    return score.scoring_graph(translator)


@pytest.fixture
def files(tmp_path):
    paths = []
    for name, texts in (("source", SOURCES), ("target", TARGETS)):
        path = tmp_path / f"{name}.txt"
        path.write_text("".join(f"{text}\n" for text in texts))
        paths += [f"--{name}", str(path)]
    return paths


def test_each_token_counts_once_and_the_end_is_one(graph):
    scores = score.score_pairs(graph, SOURCES, TARGETS)
    assert [found.pieces for found in scores] == [[*target, "</s>"] for target in TARGETS]
    assert all(len(found.log_probs) == len(found.pieces) for found in scores)
    assert all(log_prob < 0 for found in scores for log_prob in found.log_probs)
    assert scores[0].total == pytest.approx(sum(scores[0].log_probs))


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_the_order_is_kept_whatever_the_batches(graph, batch_size):
    done = []
    scores = score.score_pairs(graph, SOURCES, TARGETS, batch_size, done.append)
    alone = [score.score_pairs(graph, [a], [b])[0] for a, b in zip(SOURCES, TARGETS, strict=True)]
    assert sum(done) == len(SOURCES) and max(done) <= batch_size
    for found, expected in zip(scores, alone, strict=True):
        assert found.pieces == expected.pieces
        # The drawn weights are large: sums in another order, by length and threads, can be seen.
        np.testing.assert_allclose(found.log_probs, expected.log_probs, rtol=1e-3)


def test_lines_and_summary_of_two_files(drawn_run, translator, files, tmp_path, capsys):
    output = tmp_path / "scores.txt"
    command = ["--run", str(drawn_run), *files, "--batch_size", "2", "--by_token"]
    score.main([*command, "--output", str(output)])
    summary = capsys.readouterr().out
    rows = [line.split("\t") for line in output.read_text().splitlines()]
    assert [row[1].split() for row in rows] == [[*target, "</s>"] for target in TARGETS]
    for total, pieces, log_probs in rows:
        assert len(pieces.split()) == len(log_probs.split())
        assert float(total) == pytest.approx(sum(map(float, log_probs.split())), abs=1e-2)

    num_tokens = sum(len(target) + 1 for target in TARGETS)
    target_ids = end_and_pad(translator.target_tokenizer.tokenize(TARGETS), 100)
    batch = ({"source_ids": translator.source_ids(SOURCES)}, target_ids)
    perplexity = decoding.perplexity(translator.model, [batch])
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", summary)]
    mean = sum(float(row[0]) for row in rows) / len(TARGETS)
    np.testing.assert_allclose(numbers, [perplexity, -math.log(perplexity), mean], rtol=1e-4)
    assert f" of {num_tokens} tokens with the ends of 5 targets; " in summary

    # Twice the same model is that model; without --output the lines are alone on standard output.
    score.main([*command, "--format", "json", "--ensemble", str(drawn_run)])
    printed = capsys.readouterr()
    records = [json.loads(line) for line in printed.out.splitlines()]
    assert printed.err.startswith("perplexity ") and printed.err.count("\n") == 1
    assert [(record["source"], record["target"]) for record in records] == list(
        zip(SOURCES, TARGETS, strict=True)
    )
    for record, (total, pieces, _) in zip(records, rows, strict=True):
        assert record["score"] == pytest.approx(float(total), abs=1e-3)
        assert record["target_pieces"] == pieces.split()
        assert sum(record["piece_scores"]) == pytest.approx(record["score"])


def test_the_pairs_may_be_those_of_the_run(drawn_run, monkeypatch, capsys):
    asked = []

    def load_split(config, split, data_dir):
        asked.append((config.data.name, split, data_dir))
        return [[text.encode() for text in side] for side in (SOURCES[:2], TARGETS[:2])]

    monkeypatch.setattr("training.tasks.translation.corpora.load_split", load_split)
    score.main(["--run", str(drawn_run), "--data", "validation", "--data_dir", "there"])
    printed = capsys.readouterr()
    assert asked == [("dates", "validation", "there")]
    assert all(float(line) < 0 for line in printed.out.splitlines()) and printed.out.count("\n") == 2
    assert "of 13 tokens with the ends of 2 targets" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch_size", "0"], "`batch_size` must be a positive integer. Received: batch_size=0."),
        (
            ["--data", "test"],
            "Give one of --data, --files, --source and --target. Received: --data, --source",
        ),
        (["--data_dir", "there"], "`data_dir` is of the run's data. Received: there, and files."),
        (["--source", "no-such-file"], "A text file must exist. Received: no-such-file."),
    ],
)
def test_bad_options_are_told_before_a_model_is_loaded(
    fails, drawn_run, files, monkeypatch, arguments, message
):
    monkeypatch.setattr("keras.models.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    assert message in fails(score.main, "--run", drawn_run, *files, *arguments)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (b"a\nb\nc\n", b"x\ny\n", r"a\.src with 3 and .*a\.tgt with 2 lines"),
        (b"", b"", "at least one line"),
        (b"a\n\xff\n", b"x\ny\n", "valid UTF-8. Received: .*, line 2"),
    ],
)
def test_bad_files_are_named_and_the_output_is_kept(fails, drawn_run, tmp_path, source, target, message):
    (tmp_path / "a.src").write_bytes(source)
    (tmp_path / "a.tgt").write_bytes(target)
    output = tmp_path / "out.txt"
    output.write_text("precious\n")
    command = ["--run", drawn_run, "--source", tmp_path / "a.src", "--target", tmp_path / "a.tgt"]
    line = fails(score.main, *command, "--output", output)
    assert re.search(message, line), line
    assert output.read_text() == "precious\n"


def test_one_file_alone_is_refused(fails, drawn_run, files):
    assert "Give --source and --target. Received:" in fails(score.main, "--run", drawn_run, *files[:2])
    assert "none or several" in fails(score.main, "--run", drawn_run)
    assert "none or several" in fails(score.main, "--run", drawn_run, "a", "b", *files)
    line = fails(score.main, "--run", drawn_run, "--files", *files[1::2], files[1])
    assert "`files` must be a TSV file, or two files. Received: " in line
    line = fails(score.main, "--run", drawn_run, "a", "b", "c")
    assert "Give texts in pairs, source and target. Received: 3 texts." in line
    line = fails(score.main, "--run", drawn_run, "a", "b", "--data_dir", "there")
    assert "`data_dir` needs --data. Received: data_dir=there without it." in line


def test_pairs_may_be_texts_of_the_command_line(drawn_run, graph, capsys):
    pairs = list(zip(SOURCES, TARGETS, strict=True))
    score.main(["--run", str(drawn_run), *(text for pair in pairs for text in pair)])
    totals = [float(line.split("\t")[0]) for line in capsys.readouterr().out.splitlines()]
    expected = [found.total for found in score.score_pairs(graph, SOURCES, TARGETS)]
    np.testing.assert_allclose(totals, expected, rtol=1e-3, atol=1e-3)
