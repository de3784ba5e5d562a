"""The command that translates: its formats, its options, and what becomes of input that cannot be used."""

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import command_line
from command_line import lines
from keras_transformer.pipelines.hypotheses import Hypothesis
from keras_transformer.pipelines.translator import Translator
from tests import tiny_runs
from training import translate
from training.tasks.translation import translating

TEXTS = [b"5 March 2031", b"", b"2. 3. 1999", b"\xff\xfe broken", b"word " * 10_000]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.txt"
    path.write_bytes(b"".join(text + b"\r\n" for text in TEXTS))
    return path


class Shouting:
    """A translator that needs no model: the translation is the text in capitals."""

    search = None

    def __init__(self):
        self.calls = []

    def hypotheses(self, texts, batch_size, **others):
        self.calls.append({"texts": texts, "batch_size": batch_size, **others})
        if b"fail" in texts:
            raise ValueError("out of memory")
        return [[Hypothesis(text.decode().upper(), -1.0)] for text in texts]


@pytest.fixture
def shouting(monkeypatch):
    """Replaces the run's translator; keeps what it was made from."""
    translator = Shouting()

    def from_run(run, search, others, checkpoint):
        translator.made_from = SimpleNamespace(run=run, search=search, others=others, checkpoint=checkpoint)
        return translator

    monkeypatch.setattr(Translator, "from_run", from_run)
    return translator


def test_an_argument_a_file_and_standard_input_translate_alike(
    drawn_run, source, tmp_path, capsys, monkeypatch
):
    command = ["--run", str(drawn_run), "--beam", "1"]
    translate.main([*command, TEXTS[0].decode()])
    by_argument = capsys.readouterr().out
    output = tmp_path / "out.txt"
    translate.main([*command, "--input", str(source), "--output", str(output)])
    by_file = output.read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(source.read_bytes())))
    translate.main(command)
    assert capsys.readouterr().out == by_file
    assert len(by_file.splitlines()) == len(TEXTS)
    assert by_file.splitlines()[0] == by_argument.strip() != ""
    assert by_file.splitlines()[1] == ""


@pytest.mark.slow
def test_both_formats_say_the_same(drawn_run, source, capsys):
    command = ["--run", str(drawn_run), "--input", str(source), "--beam", "3", "--n_best", "2"]
    command += ["--with_scores", "--with_alignments", "--layer", "1", "--head", "0", "--prefix", "20"]
    translate.main(command)
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    translate.main([*command, "--format", "json"])
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["source"] for record in records] == [text.decode("utf-8", "replace") for text in TEXTS]
    assert [row[0] for row in rows] == ["1", "1", "2", "2", "3", "3", "4", "4", "5", "5"]
    translations = [translation for record in records for translation in record["translations"]]
    for row, found in zip(rows, translations, strict=True):
        source_pieces, target_pieces, alignment = (
            found[name] for name in ("source_pieces", "target_pieces", "alignment")
        )
        assert row[1:3] == [f"{found['score']:.4f}", found["text"]]
        assert row[3].split() == [f"{i}-{j}" for i, j in alignment]
        assert [j for _, j in alignment] == list(range(len(target_pieces)))
        assert all(0 <= i < len(source_pieces) for i, _ in alignment)
        assert row[5].split() == target_pieces
        assert found["text"] == "" or found["text"].startswith("20")


def hypothesis(text="a\tb\nc", score=-1.23456):
    """With three pieces of the source, two of the target, two layers of one head."""
    attention = np.array(
        [[[[0.5, 0.4, 0.1], [0.1, 0.2, 0.7]]], [[[0.1, 0.8, 0.1], [0.6, 0.3, 0.1]]]], "float32"
    )
    return Hypothesis(text, score, ["x", " ", "</s>"], ["y\t", "</s>"], attention)


def options(n_best=1, with_scores=False, with_alignments=False, layer=None, head=None, choose=None):
    return SimpleNamespace(**locals())


@pytest.mark.parametrize(
    ("chosen", "line"),
    [
        ({}, "a b c"),
        ({"n_best": 2}, "7\ta b c"),
        ({"n_best": 2, "choose": "chrf"}, "a b c"),
        ({"with_scores": True}, "-1.2346\ta b c"),
        ({"with_alignments": True}, "a b c\t1-0 2-1\tx \u2581 </s>\ty\u2581 </s>"),
        ({"with_alignments": True, "layer": 0, "head": 0}, "a b c\t0-0 2-1\tx \u2581 </s>\ty\u2581 </s>"),
        ({"with_alignments": True, "layer": 1}, "a b c\t1-0 0-1\tx \u2581 </s>\ty\u2581 </s>"),
    ],
)
def test_the_columns_are_those_asked_for(chosen, line):
    assert translating.as_text(7, hypothesis(), options(**chosen)) == line


def test_json_holds_pairs_and_no_line_end():
    line = translating.as_json(b"\xc3\xa4\t", [hypothesis()], options(with_alignments=True))
    assert "\n" not in line and "ä" in line
    assert json.loads(line) == {
        "source": "ä\t",
        "translations": [
            {
                "text": "a b c",
                "score": -1.23456,
                "source_pieces": ["x", " ", "</s>"],
                "target_pieces": ["y\t", "</s>"],
                "alignment": [[1, 0], [2, 1]],
            }
        ],
    }


def test_what_was_not_found_is_an_empty_line_and_no_entry():
    none = Hypothesis("", float("-inf"))
    chosen = options(with_alignments=True)
    assert json.loads(translating.as_json(b"a", [none], chosen)) == {"source": "a", "translations": []}
    assert translating.as_text(1, none, options()) == ""
    assert translating.as_text(1, none, chosen) == "\t\t\t"


def test_an_ensemble_is_a_list_that_swallows_no_text(drawn_run, shouting, capsys):
    command = ["--run", str(drawn_run), "--ensemble", "a", "--ensemble", "b", "hello", "--max_length", "9"]
    translate.main(command)
    assert capsys.readouterr().out == "HELLO\n"
    assert shouting.made_from.run == str(drawn_run)
    assert shouting.made_from.others == ["a", "b"]
    assert shouting.made_from.search.max_length == 9
    translate.main(["--run", str(drawn_run), "hello"])
    assert shouting.made_from.search.max_length == tiny_runs.MAX_LENGTH
    assert shouting.made_from.others == []


def test_lines_are_written_chunk_by_chunk(drawn_run, shouting, fails, tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "CHUNK", 2)
    source, output = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("a\nb\nc\nfail\ne\n")
    line = fails(translate.main, "--run", drawn_run, "--input", source, "--output", output)
    assert line == "error: out of memory"
    assert output.read_text() == "A\nB\n"
    assert [call["texts"] for call in shouting.calls] == [[b"a", b"b"], [b"c", b"fail"]]


def test_options_of_a_chunk_reach_the_translator(drawn_run, shouting, tmp_path):
    source = tmp_path / "in.txt"
    source.write_text("a\nb\nc\n")
    command = ["--run", str(drawn_run), "--input", str(source), "--batch_size", "2", "--prefix", "-"]
    translate.main([*command, "--with_alignments"])
    # Attention takes memory: a chunk is a batch.
    assert [call["texts"] for call in shouting.calls] == [[b"a", b"b"], [b"c"]]
    assert [call["prefixes"] for call in shouting.calls] == [["-", "-"], ["-"]]
    assert all(call["with_attention"] and call["batch_size"] == 2 for call in shouting.calls)


def test_several_texts_are_translated_in_their_order(drawn_run, shouting, capsys):
    translate.main(["--run", str(drawn_run), "--ensemble", "other", "b", "", "a", "--format", "json"])
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(record["source"], record["translations"][0]["text"]) for record in records] == [
        ("b", "B"),
        ("", ""),
        ("a", "A"),
    ]


@pytest.mark.parametrize(
    ("chosen", "title", "panels"),
    [
        ({}, "mean of all layers and heads", [""]),
        ({"layer": 1}, "layer 1", ["head 0", "head 1"]),
        ({"head": 1}, "head 1, mean of all layers", [""]),
        ({"layer": 0, "head": 1}, "layer 0, head 1", [""]),
    ],
)
def test_a_picture_shows_the_heads_that_are_asked_for(chosen, title, panels):
    attention = np.random.default_rng(0).uniform(size=(2, 2, 2, 3)).astype("float32")
    found = Hypothesis("", 0.0, list("xyz"), list("uv"), attention)
    figure = translating.picture(found, **{"layer": None, "head": None} | chosen)
    drawn = [axis for axis in figure.axes if axis.images]
    assert figure.get_suptitle() == title and [axis.get_title() for axis in drawn] == panels
    layers = attention.mean(axis=0) if "layer" not in chosen else attention[chosen["layer"]]
    heads = layers if "layer" in chosen else layers.mean(axis=0, keepdims=True)
    if "head" in chosen:
        heads = layers[[chosen["head"]]]
    for axis, expected in zip(drawn, heads, strict=True):
        np.testing.assert_allclose(axis.images[0].get_array(), expected)


def test_a_picture_comes_beside_the_translation(drawn_run, monkeypatch, tmp_path, capsys):
    attention = np.full((2, 2, 1, 2), 0.5, "float32")
    found = [[Hypothesis("A", -1.0, ["a", "</s>"], ["</s>"], attention)]]

    def hypotheses(texts, batch_size, with_attention, **_):
        assert with_attention
        return found

    translator = SimpleNamespace(hypotheses=hypotheses, search=None)
    monkeypatch.setattr(Translator, "from_run", lambda *_: translator)
    path = tmp_path / "a.png"
    translate.main(["--run", str(drawn_run), "a", "--picture", str(path)])
    assert capsys.readouterr().out == "A\n"  # as without the picture
    assert path.read_bytes().startswith(b"\x89PNG") and [x.name for x in tmp_path.iterdir()] == ["a.png"]


def test_an_empty_file_has_an_empty_translation(drawn_run, shouting, tmp_path):
    source, output = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("")
    output.write_text("of another time\n")
    translate.main(["--run", str(drawn_run), "--input", str(source), "--output", str(output)])
    assert output.read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--beam", "0"], "`beam` must be a positive integer and at most 65536. Received: beam=0."),
        (["--alpha", "nan"], "`alpha` must be a number. Received: alpha=nan."),
        (["--alpha", ".nan"], "`alpha` must be a finite number >= 0. Received: alpha=nan."),
        (["--top_p", "0"], "`top_p` must be a finite number > 0 and <= 1. Received: top_p=0.0."),
        (["--n_best", "5"], "at most 4. Received: n_best=5."),
        (["--beam", "1", "--n_best", "2"], "at most 1. Received: n_best=2."),
        (["--beam", "2", "--seed", "1"], "not of both. Received: {'beam': 2, 'seed': 1}."),
        (["--batch_size", "0"], "`batch_size` must be a positive integer. Received: batch_size=0."),
        (["--layer", "1"], "`layer` needs --with_alignments or --picture. Received: layer=1 without."),
        (["--head", "0"], "`head` needs --with_alignments or --picture. Received: head=0 without."),
        (["--layer", "2", "--with_alignments"], "`layer` must be from 0 to 1. Received: layer=2."),
        (["--head", "-1", "--with_alignments"], "`head` must be from 0 to 1. Received: head=-1."),
        (["--format", "xml"], "xml"),
        (["--beem", "3"], "Nearest: beam"),
        (["--input", "no-such-file"], "No such file or directory: 'no-such-file'"),
        (["hello", "--input", "a-file"], "Give texts or --input. Received both: 'hello', a-file."),
        (["--picture", "a.png"], "`picture` is of one text. Received: 0 texts."),
        (["a", "b", "--picture", "a.png"], "`picture` is of one text. Received: 2 texts."),
        (["a", "--picture", "a.gif"], "`picture` must be a file *.png, *.svg, *.pdf. Received: a.gif."),
        (["a", "--picture", "no/a.png"], "`picture` must be a file in a folder that exists. Received: no/a"),
    ],
)
def test_bad_options_are_told_before_a_model_is_loaded(fails, drawn_run, monkeypatch, arguments, message):
    monkeypatch.setattr("keras.models.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    assert message in fails(translate.main, "--run", drawn_run, *arguments)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("\udcff", "consist of what the target tokenizer knows. Received: '\ufffd'."),
        ("Mai", "consist of what the target tokenizer knows. Received: 'Mai'."),
        ("2" * tiny_runs.MAX_LENGTH, "shorter than `max_length`, 13 pieces. Received: 13 pieces"),
    ],
)
def test_a_prefix_that_cannot_be_is_told_and_the_output_kept(fails, drawn_run, tmp_path, prefix, message):
    output = tmp_path / "out.txt"
    output.write_text("precious\n")
    line = fails(translate.main, "--run", drawn_run, "--prefix", prefix, "--output", output, "7")
    assert message in line
    assert output.read_text() == "precious\n"


def test_the_help_tells_the_formats(capsys):
    with pytest.raises(SystemExit):
        command_line.run(lambda: translate.main(["--help"]))
    text = " ".join(capsys.readouterr().out.split())
    for part in ("separated by tabs", '{"source": TEXT', "--n_best", "at most `beam`"):
        assert part in text
