"""Translators that were imported: their folders' ids, and what such a run can be used for."""

import json

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer.pipelines.translator import Translator
from serving import ctranslate2_format, export, verify
from training import evaluate, train


def own_ids(tokenizer, names, special):
    """{the folder's id: the tokenizer's}, by the names of the pieces.

    Args:
        names: the folder's pieces in the order of its ids.
        special: {name: the tokenizer's id}.
    """
    pieces = tokenizer.id_to_piece(np.arange(tokenizer.vocabulary_size)).numpy()
    own = {piece.decode(): number for number, piece in enumerate(pieces)} | special
    return {old: own[name] for old, name in enumerate(names)}


def padded(own, rows):
    """Rows of a folder's ids, lists, as int32 (B, T)."""
    length = max(map(len, rows))
    return np.array([[*(own[x] for x in row), *[0] * (length - len(row))] for row in rows], "int32")


def logits(own, values):
    """A folder's logits (B, T, V), and the numbers of the tokenizer's ids that they are of: (ids, logits)."""
    olds = sorted(own)
    return [own[old] for old in olds], np.asarray(values)[..., olds] / 1e5


def check_use(run, folder, capsys, answers):
    """Measures, trains further, exports and verifies an imported run."""
    (folder / "x").write_text("two dogs sleeps\n" * 8)
    (folder / "y").write_text("zwei Hunde schläft\n" * 8)
    files = [str(folder / side) for side in ("x", "y")]
    evaluate.main(["--run", str(run), "--files", *files, "--beam", "1"])
    assert "BLEU" in capsys.readouterr().out
    own = ["--config", str(run / "config.yaml"), "--output", str(folder / "tuned")]
    own += ["--data.train", json.dumps(files), "--data.max_length", "32", "--fit.epochs", "1"]
    own += ["--checkpoints.monitor", "loss", "--fit.jit_compile", "off"]
    train.main([*own, "--initial.run", str(run)])
    before, after = (Translator.from_run(x).model.get_weights() for x in (run, folder / "tuned"))
    assert any((old != new).any() for old, new in zip(before, after, strict=True))

    export.main(["--run", str(run), "--output", str(folder / "exported"), "--beam", "1"])
    verify.main([str(folder / "exported")])
    served = tf.saved_model.load(folder / "exported" / "1").signatures["translate"]
    found = served(text=tf.constant(answers["source_texts"]))["translation"].numpy()
    for text, expected in zip(found, answers["greedy"]["texts"], strict=True):
        # The original's were cut.
        assert len(expected.split()) > 8 or text.decode() == expected


def check_ctranslate2(found, folder, answers):
    """Decodes by CTranslate2 what a translator, with the search of `answers`, decodes greedily."""
    ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 is not installed")
    source, target = found.source_tokenizer, found.target_tokenizer
    ctranslate2_format.write(found.model, source, target, folder / "converted")
    rows = source.tokenize(tf.constant(answers["source_texts"]))
    pieces = [piece.decode() for piece in target.id_to_piece(tf.range(target.vocabulary_size)).numpy()]
    results = ctranslate2.Translator(str(folder / "converted"), intra_threads=1).translate_batch(
        [[piece.decode() for piece in source.id_to_piece(row).numpy()] for row in rows],
        beam_size=1,
        max_decoding_length=found.search.max_length,
        min_decoding_length=0,
        suppress_sequences=[[pieces[0]], [pieces[2]]],
    )
    ids = [[pieces.index(piece) for piece in result.hypotheses[0]] for result in results]
    texts = [text.decode() for text in target.detokenize(tf.ragged.constant(ids)).numpy()]
    assert texts == answers["greedy"]["texts"]
