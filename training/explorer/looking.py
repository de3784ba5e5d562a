"""What a run attends to: pieces and weights of one pass of its model, and the tree of its search."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transformer import decoding
from keras_transformer.pipelines import mask_filler, tagger, text_classifier
from keras_transformer.pipelines.base import Pipeline
from keras_transformer.pipelines.captioner import Captioner
from keras_transformer.pipelines.image_classifier import ImageClassifier
from keras_transformer.pipelines.mask_filler import MaskFiller
from keras_transformer.pipelines.tagger import Tagger
from keras_transformer.pipelines.text_classifier import TextClassifier
from keras_transformer.pipelines.text_embedder import TextEmbedder
from keras_transformer.pipelines.text_generator import TextGenerator
from keras_transformer.pipelines.translator import Translator
from keras_transformer.special_ids import PAD_ID, START_ID
from training.explorer.beams import Node, tree


@dataclass(frozen=True)
class View:
    """One kind of attention.

    Attributes:
        name: as in `attention_weights` of a model: "encoder", "decoder", "cross" or "pooling".
        rows, columns: what attends, T pieces, and what is attended to, S pieces.
        weights: float32, (layers, heads, T, S).
        row_grid, column_grid: rows and columns of the image whose places these are; None for pieces.
    """

    name: str
    rows: list[str]
    columns: list[str]
    weights: np.ndarray
    row_grid: tuple[int, int] | None = None
    column_grid: tuple[int, int] | None = None


@dataclass(frozen=True)
class Seen:
    """All that is shown of one run and one text or image.

    Attributes:
        name: of the run.
        model: class of the model.
        given: the text, or the name of the image's file.
        answer: what the model made of it; "" if it is no text.
        views: of the attention, in the order encoder, decoder, cross, pooling.
        beams: the tree of its search, if it has one; and `pieces`, what their tokens are called.
        image: PNG bytes, of an image.
    """

    name: str
    model: str
    given: str
    answer: str
    views: list[View]
    beams: list[Node] | None = None
    pieces: dict[int, str] | None = None
    image: bytes | None = None


def look(pipeline: Pipeline, given: Any, name: str, shown: str) -> Seen:
    """Uses a model once, and keeps all attention weights of that pass.

    Args:
        pipeline: of the library.
        given: a text; or an image, uint8 (H, W, C).
        name: of the run.
        shown: what stands for `given` on a page.

    Raises:
        ValueError: the model has no attention, or there is nothing to look at.
    """
    if isinstance(given, str) and not given.strip():
        raise ValueError(f"What is explored must be a text with a word. Received: {given!r}.")
    return Seen(name=name, model=type(pipeline.model).__name__, given=shown, **_seen(pipeline, given))


@functools.singledispatch
def _seen(pipeline, given) -> dict[str, Any]:
    """The other fields of `Seen`."""
    raise ValueError(
        "The explorer is for what has attention over words or places of an image. "
        f"Received: a {type(pipeline).__name__}."
    )


@_seen.register
def _(pipeline: Translator, given):
    source_ids = pipeline.source_ids(tf.constant([given]))
    found = _search(pipeline, {"source_ids": source_ids}, pipeline.target_tokenizer)
    return _with_views(found, _pieces(pipeline.source_tokenizer, source_ids[0]))


@_seen.register
def _(pipeline: TextGenerator, given):
    found = _search(pipeline, pipeline.model_inputs(tf.constant([given])), pipeline.tokenizer)
    return _with_views(found, [])


@_seen.register
def _(pipeline: Captioner, given):
    found = _search(pipeline, {"image": tf.constant(given[None])}, pipeline.tokenizer)
    grid = tuple(pipeline.model.grid_shape(*pipeline.image_shape[:2]))
    return {**_with_views(found, _places(grid), grid), "image": _png(given)}


@_seen.register
def _(pipeline: ImageClassifier, given):
    weights = _weights(pipeline.model, tf.constant(given[None]))
    grid = pipeline.model.grid_shape
    places = _places(grid)
    best = int(np.argmax(pipeline.model(tf.constant(given[None]), training=False)[0]))
    views = [View(name, places, places, x, grid, grid) for name, x in weights.items()]
    return {"answer": pipeline.classes[best], "views": views, "image": _png(given)}


@_seen.register
def _(pipeline: TextClassifier, given):
    ids = text_classifier.token_ids(tf.constant([given]), pipeline.tokenizer, pipeline.max_length)
    return _of_text(pipeline, ids.to_tensor(), pipeline.classify(given)[0])


@_seen.register
def _(pipeline: Tagger, given):
    ids, _ = tagger.pieces(tf.strings.split([given]), pipeline.tokenizer, pipeline.max_length)
    answer = " ".join(f"{word.word}/{word.tag}" for word in pipeline.tag(given))
    return _of_text(pipeline, ids.to_tensor(), answer)


@_seen.register
def _(pipeline: MaskFiller, given):
    ids, _ = pipeline.token_ids(tf.constant([given]))
    return _of_text(pipeline, ids, "", {pipeline.mask_id: mask_filler.MASK})


@_seen.register
def _(pipeline: TextEmbedder, given):
    return _of_text(pipeline, pipeline.token_ids(tf.constant([given])), "")


def _of_text(pipeline, ids, answer, names=None):
    """Of a model that reads a text and writes none."""
    pieces = _pieces(pipeline.tokenizer, ids[0], names)
    weights = _weights(pipeline.model, {"token_ids": ids})
    views = [
        View(name, [answer or "text"] if name == "pooling" else pieces, pieces, x)
        for name, x in weights.items()
    ]
    return {"answer": answer, "views": views}


def _search(pipeline, inputs, tokenizer):
    """Searches, and lets the model read once what was found.

    Returns:
        "answer", "beams" and "pieces" of `Seen`; "weights", see `_weights`, and "target", the pieces.
    """
    search, model = pipeline.search, pipeline.model
    ids, _, history = decoding.generate_with_history(model, inputs, search)
    ids = np.asarray(ids)
    best = [token for token in ids[0, 0].tolist() if token != PAD_ID]
    if not best:
        raise ValueError("The explorer needs an answer. Received: a search that found none.")
    seen = tf.constant([[START_ID, *best[:-1]]])
    inputs = {name: x for name, x in inputs.items() if name != "prompt_ids"}
    nodes = tree(history, ids, search.max_length)
    tokens = sorted({node.token for node in nodes})
    return {
        "answer": tokenizer.detokenize(tf.constant([best])).numpy()[0].decode("utf-8", "replace"),
        "beams": nodes,
        "pieces": dict(zip(tokens, _pieces(tokenizer, tokens), strict=True)),
        "weights": _weights(model, {**inputs, "target_ids": seen}),
        "target": _pieces(tokenizer, best),
        "seen": _pieces(tokenizer, seen[0]),
    }


def _with_views(found, source, grid=None):
    """What `_search` found, with its views; `source` are the pieces that are attended to from outside."""
    target, seen, weights = (found.pop(name) for name in ("target", "seen", "weights"))
    # The decoder's own attention is among what it has been given; to the source it looks while it writes.
    sides = {"encoder": (source, source), "decoder": (seen, seen), "cross": (target, source)}
    views = [
        View(name, *sides[name], x, column_grid=grid if name == "cross" else None)
        for name, x in weights.items()
    ]
    return {**found, "views": views}


def _weights(model, inputs):
    """{name: float32 (layers, heads, T, S)} of one row."""
    found = model.attention_weights(inputs)
    return {name: np.asarray(tf.cast(x[0], tf.float32)) for name, x in found.items()}


def _pieces(tokenizer, ids, names=None):
    names, ids = names or {}, np.asarray(ids).tolist()
    known = [0 if token in names else token for token in ids]
    pieces = tokenizer.id_to_piece(tf.constant(known, tf.int32)).numpy()
    texts = [piece.decode("utf-8", "replace") for piece in pieces]
    return [names.get(token, text) for token, text in zip(ids, texts, strict=True)]


def _places(grid):
    rows, columns = grid
    return [f"row {row + 1}, column {column + 1}" for row in range(rows) for column in range(columns)]


def _png(image):
    return tf.io.encode_png(tf.image.convert_image_dtype(image, tf.uint8)).numpy()


def limited(pipeline: Pipeline, given: Any, more: int) -> None:
    """Lets a language model write at most `more` tokens behind a text."""
    if isinstance(pipeline, TextGenerator):
        length = len(pipeline.tokenizer.tokenize(tf.constant([given]))[0]) + more
        longest = min(pipeline.search.max_length, length)
        pipeline.search = dataclasses.replace(pipeline.search, max_length=longest)
