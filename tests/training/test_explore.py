"""The attention explorer: what it shows of every kind of run, its page, and what it refuses."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import decoding, models, tokenizers
from keras_transformer.decoding.history import History
from keras_transformer.pipelines.captioner import Captioner
from keras_transformer.pipelines.image_classifier import ImageClassifier
from keras_transformer.pipelines.mask_filler import MaskFiller
from keras_transformer.pipelines.tagger import Tagger
from keras_transformer.pipelines.text_classifier import TextClassifier
from keras_transformer.pipelines.text_generator import TextGenerator
from keras_transformer.pipelines.translator import Translator
from tests import tiny_runs
from tests.models.every_model import HEADS, SIZES
from tests.source_code import ROOT
from training import explore
from training.explorer import page
from training.explorer.beams import path, tree
from training.explorer.looking import Seen, View

TEXT = '<script>alert("1")</script> & 5 March'
SEARCH = decoding.BeamSearch(max_length=3, width=2, n_best=2)
LETTERS = tokenizers.CharacterTokenizer.train(["abcdef "])
V = LETTERS.vocabulary_size


@pytest.fixture(scope="module")
def written(drawn_run, tmp_path_factory):
    """A page that the command wrote, as a text; what it was made of; and its translator."""
    output, made = tmp_path_factory.mktemp("page") / "page.html", {}
    command = ["--run", str(drawn_run), "--beam", "2", "--n_best", "2", "--max_length", "3"]
    with pytest.MonkeyPatch.context() as patch:
        for name in ("explored", "loaded"):
            function = getattr(explore, name)

            def keeps(*arguments, name=name, function=function):
                made[name] = function(*arguments)
                return made[name]

            patch.setattr(explore, name, keeps)
        explore.main([*command, "--output", str(output), TEXT])
    return output.read_text(encoding="utf-8"), made["explored"], made["loaded"]


@pytest.fixture
def seen(written):
    return written[0]


@pytest.fixture
def shown(written):
    return written[1]


def data_of(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])


def weights_in(view, bits):
    return page.decoded(view["weights"], bits, view["shape"])


def test_the_page_has_the_weights_of_the_search(written):
    seen, shown, translator = written
    data = data_of(seen)
    inputs = {"source_ids": translator.source_ids(tf.constant([TEXT]))}
    # With a function of one's own nothing is compiled.
    given = translator.model, inputs, translator.search
    expected = decoding.generate_with_attention(*given, attention=translator.model.attention)
    count = len(shown.seen[0].views[-1].rows)
    kept = np.moveaxis(expected.attention.numpy()[0, 0, :count], 0, 2)
    np.testing.assert_allclose(shown.weights["cross"], kept, atol=1e-6)
    assert [view["name"] for view in data["runs"][0]["views"]] == ["encoder", "decoder", "cross"]
    for run in data["runs"]:
        for view in run["views"]:
            read = weights_in(view, data["bits"])
            np.testing.assert_allclose(read, shown.weights[view["name"]], atol=2e-5)
            assert read.shape[2:] == (len(view["rows"]), len(view["columns"]))
    ranks = [node["rank"] for node in data["runs"][0]["beams"] if node["rank"] is not None]
    assert sorted(ranks) == [0, 1]
    scores = {node["rank"]: node["score"] for node in data["runs"][0]["beams"]}
    np.testing.assert_allclose([scores[0], scores[1]], expected.scores.numpy()[0], rtol=1e-5)


def test_nothing_of_a_text_is_markup_and_nothing_is_fetched(seen):
    assert data_of(seen)["runs"][0]["given"] == TEXT
    assert seen.count("<script") == 2 and "alert" in seen and "<script>alert" not in seen
    assert "{{" not in seen and not re.findall(r"(?:src|href)=|@import|url\(|\bimport ", seen)
    (code,) = re.findall(r'<script type="module">(.*?)</script>', seen, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in seen
    )


def test_modules_of_the_page_share_no_name_and_are_short():
    names = []
    for name in page.MODULES:
        text = (page.FOLDER / f"{name}.js").read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300
        names += re.findall(r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", text, re.MULTILINE)
        for imported in re.findall(r'from "\./(\w+)\.js"', text):
            assert page.MODULES.index(imported) < page.MODULES.index(name)
    assert len(set(names)) == len(names) > 30
    assert {file.stem for file in page.FOLDER.glob("*.js")} == set(page.MODULES)


def test_a_notebook_shows_the_page_in_a_frame_that_can_only_draw(shown, drawn_run):
    frame = shown._repr_html_()
    assert frame.startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;') and 'sandbox="allow-scripts"' in frame
    assert frame.count("<") == 2  # its own tag and its end
    assert repr(shown) == f"Page({drawn_run.name}, {TEXT!r})"


IMAGE = np.random.default_rng(0).integers(0, 256, (8, 4, 1), "uint8")


def test_the_page_of_the_docs_is_as_it_says(shown, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(explore, "explored", lambda *arguments: shown)
    text = (ROOT / "docs" / "explorer.md").read_text(encoding="utf-8")
    names = {}
    exec(re.search(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[1], names)
    assert (tmp_path / "attention.html").read_text(encoding="utf-8") == shown.html
    assert names["cross"].shape[:2] == (tiny_runs.NUM_LAYERS, tiny_runs.NUM_HEADS)


def encoder(vocabulary_size=V):
    from keras_transformer import layers

    return layers.TextEncoder(vocabulary_size, **SIZES, **HEADS, max_length=11)


def translator(model):
    return Translator(model, LETTERS, LETTERS, SEARCH, 11)


SIDES = {"source_vocabulary_size": V, "target_vocabulary_size": V}
WORDS, SHAPE, FREE = "ab cd", (8, 4, 1), None
# Name -> what makes a pipeline, what it is given, and the shapes of its views.
KINDS = {
    "rnn": (lambda: translator(models.RNNSeq2Seq(**SIDES, **SIZES)), "abc", {"cross": (1, 1, FREE, 4)}),
    "conv": (lambda: translator(models.ConvSeq2Seq(**SIDES, **SIZES)), "abc", {"cross": (1, 1, FREE, 4)}),
    "language": (
        lambda: TextGenerator(models.CausalLM(V, **SIZES, **HEADS), LETTERS, SEARCH),
        "ab",
        {"decoder": (1, 2, FREE, FREE)},
    ),
    "caption": (
        lambda: Captioner(
            models.ImageCaptioner(V, "gru", filters=(3, 4), channels=1, **SIZES), LETTERS, SEARCH, SHAPE
        ),
        IMAGE,
        {"cross": (1, 1, FREE, 8)},
    ),
    "patches": (
        lambda: ImageClassifier(
            models.VisionTransformer(3, SHAPE, 2, **SIZES, **HEADS), ["a", "b", "c"], SHAPE
        ),
        IMAGE,
        {"encoder": (1, 2, 8, 8)},
    ),
    "class": (
        lambda: TextClassifier(models.SequenceClassifier(encoder(), 2), LETTERS, ["x", "y"], 11),
        WORDS,
        {"encoder": (1, 2, 6, 6)},
    ),
    "words": (
        lambda: TextClassifier(models.RNNClassifier(V, 2, 5, 4), LETTERS, ["x", "y"], 11),
        WORDS,
        {"pooling": (1, 1, 1, 6)},
    ),
    "tags": (
        lambda: Tagger(models.TokenClassifier(encoder(), 3), LETTERS, ["x", "y"], 11),
        WORDS,
        {"encoder": (1, 2, 7, 7)},
    ),
    "no gap": (
        lambda: MaskFiller(models.MaskedLM(encoder(V + 1)), LETTERS, 11),
        WORDS,
        {"encoder": (1, 2, 5, 5)},
    ),
    "gap": (
        lambda: MaskFiller(models.MaskedLM(encoder(V + 1)), LETTERS, 11),
        "a [MASK]",
        {"encoder": (1, 2, 3, 3)},
    ),
}
# In the usual run: a text and an image; the models have tests of their own.
USUAL = ("language", "patches")


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    "name", [name if name in USUAL else pytest.param(name, marks=pytest.mark.slow) for name in KINDS]
)
def test_every_kind_is_shown(name):
    make, given, shapes = KINDS[name]
    pipeline = make()
    shown = explore.show_attention(pipeline, given)
    assert set(shown.weights) == set(shapes)
    for view in shown.seen[0].views:
        assert view.weights.shape[2:] == (len(view.rows), len(view.columns))
        for found, expected in zip(view.weights.shape, shapes[view.name], strict=True):
            assert expected in (FREE, found)
        np.testing.assert_allclose(view.weights.sum(-1), 1, atol=1e-5)
    run = data_of(shown.html)["runs"][0]
    assert (run["beams"] is not None) == hasattr(pipeline, "search")
    assert (run["image"] is not None) == (given is IMAGE)
    assert [view["columnGrid"] for view in run["views"]] == [[4, 2] if given is IMAGE else None]
    if name == "gap":
        assert run["views"][0]["rows"][-1] == "[MASK]"


def test_a_sentence_of_a_hundred_tokens_is_three_megabytes_at_most():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (6, 8, 100, 100))
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    pieces = [f"piece{number}" for number in range(100)]
    views = [
        View(name, pieces, pieces, weights.astype("float32")) for name in ("encoder", "decoder", "cross")
    ]
    text = page.page([Seen("run", "Transformer", " ".join(pieces), "", views)])
    assert len(text.encode()) <= 3 * 2**20
    data = data_of(text)
    assert data["bits"] == 8
    np.testing.assert_allclose(weights_in(data["runs"][0]["views"][0], 8), weights, atol=0.004)
    with pytest.raises(
        ValueError, match="at most 8,388,608 weights: give a shorter text. Received: 14,400,000"
    ):
        page.page([Seen("run", "Transformer", "", "", 10 * views)])


def test_a_tree_tells_what_became_of_each_hypothesis():
    # Two places: "a", "b"; "a c", "a d" (b is dropped); "a c $" ends, "a d e" goes on; "a d e f" is cut.
    tokens, parents = [[4, 5], [6, 7], [3, 8], [0, 9]], [[0, 0], [0, 0], [0, 1], [0, 1]]
    scores = np.log([[0.6, 0.4], [0.3, 0.2], [0.3, 0.1], [0.3, 0.05]])
    history = History(*(np.array([x]) for x in (tokens, parents, scores)))
    nodes = tree(history, np.array([[[4, 6, 3, 0], [4, 7, 8, 9]]]), max_length=4)
    listed = [(node.token, node.parent, node.fate, node.rank) for node in nodes]
    assert listed == [
        (4, None, "on", None),
        (5, None, "dropped", None),
        (6, 0, "on", None),
        (7, 0, "on", None),
        (3, 2, "ended", 0),
        (8, 3, "on", None),
        (9, 5, "cut", 1),
    ]
    np.testing.assert_allclose(np.exp([node.log_prob for node in nodes[:4]]), [0.6, 0.4, 0.5, 1 / 3])
    assert path([(node.token, node.parent) for node in nodes], 6) == (4, 7, 8, 9)
    assert tree(history, np.array([[[4, 6, 3, 0]]]), max_length=5)[-1].fate == "open"


def test_what_cannot_be_explored_is_told_in_a_line(drawn_run, fails, tmp_path):
    output = ["--output", tmp_path / "page.html"]
    message = fails(explore.main, "--run", drawn_run, *output, "  ")
    assert "What is explored must be a text with a word. Received: ' '" in message
    message = fails(explore.main, "--run", tmp_path, *output, "5")
    assert "run folder" in message
    message = fails(explore.main, "--run", drawn_run, "--output", tmp_path / "page.png", "5")
    assert "`output` must be a file *.html" in message
    message = fails(explore.main, "--run", drawn_run, "--output", tmp_path / "none" / "page.html", "5")
    assert "in a folder that exists" in message
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_picture_has_no_attention_or_reads_something_else_is_told(tmp_path):
    reads, sees = KINDS["words"][0](), KINDS["patches"][0]()
    with pytest.raises(ValueError, match="A TextClassifier must be given a text. Received: ndarray"):
        explore.show_attention(reads, IMAGE)
    with pytest.raises(ValueError, match="`images` must be pixels"):
        explore.show_attention(sees, IMAGE[:2])
    with pytest.raises(ValueError, match="`checkpoint` and `search` are for run folders"):
        explore.show_attention(reads, "ab", search={"beam": 2})
    with pytest.raises(FileNotFoundError, match="An image must exist"):
        explore.show_attention(sees, tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ValueError, match="An image must be JPEG, PNG, GIF or BMP. Received: .*text.png"):
        explore.show_attention(sees, str(tmp_path / "text.png"))
    with pytest.raises(ValueError, match="must both read texts, or both images. Received: TextClassifier"):
        explore.show_attention(reads, "abc", against=sees)
    model = models.RNNSeq2Seq(V, V, **SIZES, attention="none")
    with pytest.raises(ValueError, match="`attention_weights` is for models with attention"):
        explore.show_attention(Translator(model, LETTERS, LETTERS, decoding.Greedy(1), 11), "abc")
    model = models.AttentionCNN(2, filters=(3, 4))
    model(np.zeros((1, 8, 4, 1), "float32"))
    with pytest.raises(ValueError, match="Received: a model of the class AttentionCNN"):
        explore.show_attention(ImageClassifier(model, ["x", "y"], SHAPE), IMAGE)


def test_runs_with_other_tokens_are_shown_each_with_its_own():
    by_byte = tokenizers.CharacterTokenizer.train([], unit="bytes")
    model = models.RNNClassifier(by_byte.vocabulary_size, 2, 5, 4)
    other = TextClassifier(model, by_byte, ["x", "y"], 11)
    shown = explore.show_attention(KINDS["words"][0](), "\u00e9", against=other)
    assert [len(one.views[0].columns) for one in shown.seen] == [2, 3]
