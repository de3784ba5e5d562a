"""OpenNMT-tf's folders become translators: its own answers, other files; what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import decoding
from keras_transformer.pipelines.translator import Translator
from tests import imported_ids, opennmt_folder
from training import import_weights
from training.imports import opennmt
from training.imports.source_folder import SourceFolder

NUM_STEPS = 12  # as in fixtures/make_opennmt.py

pytestmark = pytest.mark.usefixtures("eager")


def imported(folder, name="plain", **changes):
    run = folder / "run"
    import_weights.main([str(opennmt_folder.make(folder / "source", name, **changes)), "--output", str(run)])
    return run


def read(folder):
    return opennmt.read(SourceFolder(folder))


def translator(found, search):
    return Translator(found.model, found.tokenizers["source"], found.tokenizers["target"], search, 64)


@pytest.mark.parametrize("name", ["plain", "relative", "post"])
def test_ids_logits_and_texts_are_the_originals(name):
    answers = opennmt_folder.read("answers.json", name)
    found = translator(read(opennmt_folder.FOLDER / name), decoding.Greedy(NUM_STEPS))
    own = {
        side: imported_ids.own_ids(
            getattr(found, f"{side}_tokenizer"), opennmt_folder.vocabulary(name, side), opennmt_folder.SPECIAL
        )
        for side in ("source", "target")
    }
    texts = answers["source_texts"]
    source_ids = found.source_ids(tf.constant(texts)).numpy()
    expected = imported_ids.padded(own["source"], answers["source_ids"])
    # What was trained without an end token does not see ours.
    seen = np.where(source_ids == 3, 0, source_ids) if name == "plain" else source_ids
    np.testing.assert_array_equal(seen[:, : expected.shape[1]], expected)

    target_ids = imported_ids.padded(own["target"], answers["prefixes"])
    ids, expected = imported_ids.logits(own["target"], answers["logits"])
    logits = np.array(found.model({"source_ids": source_ids, "target_ids": target_ids}))
    np.testing.assert_allclose(logits[..., ids], expected, atol=5e-5)
    if name == "plain":  # short ones: each step takes its time
        short = [0, 1, 3]
        assert found.translate([texts[x] for x in short]) == [answers["greedy"]["texts"][x] for x in short]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "relative", "post"])
def test_searches_find_what_the_originals_do(name, compiled):
    answers = opennmt_folder.read("answers.json", name)
    for kind, search in (
        ("greedy", decoding.Greedy(NUM_STEPS)),
        ("beam", decoding.BeamSearch(NUM_STEPS, alpha=0.0)),
    ):
        found = translator(read(opennmt_folder.FOLDER / name), search)
        best = [hypotheses[0] for hypotheses in found.hypotheses(answers["source_texts"])]
        assert [one.text for one in best] == answers[kind]["texts"]
        if kind == "greedy":  # the scores of its beam search do not move with the hypotheses
            np.testing.assert_allclose([one.score for one in best], answers[kind]["scores"], atol=1e-4)
