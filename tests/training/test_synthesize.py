"""Pairs that a model makes: what they hold, what is left out, and that nothing is lost or comes twice."""

import json

import pytest

from keras_transformer import tokenizers
from keras_transformer.pipelines.hypotheses import Hypothesis
from keras_transformer.pipelines.translator import Translator
from training import synthesize

TEXTS = [
    "5 March 2031",
    "",
    "2. 3. 1999",
    "  ",
    "5 March 2031",
    "a\tb",
    "5 March 2031",
    "1 2 3",
    "x",
    "2 May",
]


class Shouting:
    """A translator that needs no model: in capitals, behind the seed of the text, or "beam"; twice."""

    source_tokenizer = target_tokenizer = tokenizers.CharacterTokenizer("bytes")

    def hypotheses(self, texts, batch_size, seeds):
        seeds = seeds or ["beam"] * len(texts)
        return [
            [Hypothesis(f"{seed} {number} {text.upper()}", -1.0) for number in range(2)]
            for text, seed in zip(texts, seeds, strict=True)
        ]


@pytest.fixture
def command(drawn_run, tmp_path, monkeypatch):
    """Runs the command on `TEXTS`, three at a time."""
    monkeypatch.setattr(synthesize, "CHUNK", 3)
    (tmp_path / "in.txt").write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    given = ["--run", str(drawn_run), "--input", str(tmp_path / "in.txt"), "--translation", "target"]

    def run(output, *more):
        synthesize.main([*given, "--output", str(output), *more])
        return output.read_text(encoding="utf-8")

    return run


@pytest.fixture
def shouted(command, monkeypatch):
    """The same without a model."""
    monkeypatch.setattr(Translator, "from_run", lambda *_: Shouting())
    return command


def test_pairs_are_texts_and_their_translations(command, drawn_run, tmp_path, capsys):
    pairs = [line.split("\t") for line in command(tmp_path / "pairs.tsv").splitlines()]
    asked = [text.replace("\t", " ") for text in TEXTS if text.strip()]
    written = Translator.from_run(drawn_run).translate(asked)
    expected = [[text, translation] for text, translation in zip(asked, written, strict=True) if translation]
    assert pairs == expected and len(pairs) > 4
    assert f"{len(pairs):,} pairs; left out: {10 - len(pairs)} empty" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.txt", "pairs.tsv"]
    back = command(tmp_path / "back.tsv", "--translation", "source").splitlines()
    assert [line.split("\t")[::-1] for line in back] == pairs


SEARCHES = {"beam": ("--n_best", "2"), "draws": ("--temperature", "2", "--seed", "3")}


@pytest.mark.parametrize("options", SEARCHES.values(), ids=SEARCHES)
def test_an_interrupted_file_ends_as_one_that_was_not(shouted, tmp_path, monkeypatch, options):
    whole = shouted(tmp_path / "whole.tsv", *options)
    write, places = synthesize.atomic.write_text, []

    def dies(path, text):
        places.append(json.loads(text)["chunks"])
        if len(places) == dies.at:
            raise KeyboardInterrupt  # behind the pairs, before the progress
        write(path, text)

    monkeypatch.setattr(synthesize.atomic, "write_text", dies)
    for at in range(1, 6):
        output = tmp_path / f"pairs-{at}.tsv"
        places.clear()
        dies.at = at
        with pytest.raises(KeyboardInterrupt):
            shouted(output, *options)
        dies.at = None
        if output.exists():
            with output.open("ab") as file:
                file.write(b"half a li")
        if at == 1:
            output.unlink(missing_ok=True)
        assert shouted(output, *options) == whole
        # What was done is not done again.
        assert places.count(at - 2) <= 1


def test_what_was_begun_otherwise_or_is_whole_is_refused(shouted, tmp_path, monkeypatch):
    output = tmp_path / "pairs.tsv"
    with monkeypatch.context() as patch:
        patch.setattr(synthesize.Progress, "end", lambda self: None)
        shouted(output)
    with pytest.raises(ValueError, match=r"with other options or files: beam\. .*Received: None then, 2 now"):
        shouted(output, "--beam", "2")
    (tmp_path / "in.txt").write_text("other\n")
    with pytest.raises(ValueError, match="begun with other options or files: texts"):
        shouted(output)
    (tmp_path / "in.txt").write_text("".join(f"{text}\n" for text in TEXTS), encoding="utf-8")
    content = output.read_bytes()
    output.write_bytes(content[:-1])
    with pytest.raises(
        ValueError, match=f"must have the {len(content)} bytes .*Received: {len(content) - 1}"
    ):
        shouted(output)
    output.write_bytes(content)
    place = tmp_path / "pairs.tsv.progress"
    told = place.read_text()
    place.write_text(told[:-5])
    with pytest.raises(ValueError, match=r"pairs\.tsv\.progress must hold JSON"):
        shouted(output)
    place.write_text("{}")
    with pytest.raises(ValueError, match="Received: it without asked, bytes, chunks, counts"):
        shouted(output)
    place.write_text(told)
    shouted(output)
    with pytest.raises(ValueError, match="The file of the pairs must not exist"):
        shouted(output)
    assert output.read_bytes() == content


@pytest.mark.parametrize(
    "options, message",
    [
        (
            ["--max_length_ratio", "0.5"],
            "`max_length_ratio` must be at least 1. Received: max_length_ratio=0.5",
        ),
        (["--max_repeats", "0"], "`max_repeats` must be at least 1. Received: max_repeats=0"),
        (["--min_score", "1"], "`min_score` is a log-probability.*Received: min_score=1.0"),
        (["--batch_size", "0"], "batch_size"),
    ],
)
def test_an_option_out_of_range_is_refused_before_anything_is_written(shouted, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        shouted(tmp_path / "pairs.tsv", *options)
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


def test_a_text_is_no_output_for_itself_and_must_be_text(shouted, tmp_path):
    with pytest.raises(ValueError, match="`output` must be another file than the input"):
        shouted(tmp_path / "in.txt")
    (tmp_path / "in.txt").write_bytes("über\n".encode("utf-16"))
    with pytest.raises(ValueError, match="must be UTF-8, and not compressed. Received: .*UTF-16"):
        shouted(tmp_path / "pairs.tsv")
    (tmp_path / "in.txt").write_bytes(b"good\n\xfcber\n")
    with pytest.raises(ValueError, match=r"must be UTF-8. Received: .*in.txt, line 2: b'\\xfcber'"):
        shouted(tmp_path / "pairs.tsv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


class Options:
    remove_copies, max_length_ratio, max_repeats, min_score = True, 2.0, 2, -1.5


@pytest.mark.parametrize(
    "text, translation, score, lengths, reason",
    [
        ("a", "b", -3.0, (2, 2), None),
        ("a", "", -3.0, (2, 2), "empty"),
        ("\u3000", "b", -3.0, (2, 2), "empty"),
        ("a ", "a", -3.0, (2, 2), "copies"),
        ("a", "b", -3.0, (2, 4), None),
        ("a", "b", -3.0, (2, 5), "lengths"),
        ("a", "b", -3.0, (5, 2), "lengths"),
        ("a", "b b", -3.0, (2, 3), None),
        ("a", "b b b", -3.0, (2, 4), "repetitions"),
        ("a", "b", -3.1, (2, 2), "scores"),
    ],
)
def test_each_filter_leaves_out_what_it_names(text, translation, score, lengths, reason):
    assert synthesize.rejection(text, translation, score, lengths, Options) == reason


@pytest.mark.parametrize(
    "text, most",
    [
        ("", 1),
        ("a", 1),
        ("a b a b", 2),
        ("a b a", 1),
        ("x a b a b a b y", 3),
        ("a a a", 3),
        ("a b c d e a b c d e", 1),
    ],
)
def test_repetitions_are_those_of_phrases_in_a_row(text, most):
    assert synthesize.most_repeats(text.split()) == most
