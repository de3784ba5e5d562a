"""Which of several translations is taken: by the formulas of the papers, written out."""

import numpy as np
import pytest
import sacrebleu

from keras_transformer import decoding
from keras_transformer.pipelines import reranking
from keras_transformer.pipelines.hypotheses import Hypothesis
from keras_transformer.pipelines.translator import Translator
from tests import tiny_runs
from tests.tiny_runs import MAX_LENGTH

SOURCES = ["5 March 2031", "", "2. 3. 1999"]
FOUND = [
    Hypothesis("a dog runs", -1.0),
    Hypothesis("two cats sleep", -0.5),
    Hypothesis("a dog runs fast", -1.5),
    Hypothesis("the dog runs", -2.0),
    Hypothesis("a dog runs", -1.0),
]
METRICS = {"chrf": sacrebleu.CHRF(), "bleu": sacrebleu.BLEU(effective_order=True)}


def expected_utility(hypothesis, weights, utility):
    scores = [METRICS[utility].sentence_score(hypothesis.text, [other.text]).score for other in FOUND]
    return np.average(scores, weights=weights)


@pytest.mark.parametrize("utility", METRICS)
@pytest.mark.parametrize("are_samples", [True, False])
def test_the_translation_of_the_largest_expected_utility_comes_first(utility, are_samples):
    weights = [1.0] * 5 if are_samples else np.exp([found.score for found in FOUND])
    ranked = reranking.minimum_bayes_risk(FOUND, utility, are_samples)
    utilities = [expected_utility(found, weights, utility) for found in ranked]
    assert utilities == sorted(utilities, reverse=True) and len(ranked) == len(FOUND)
    # The likeliest is unlike all others.
    assert "dog" in ranked[0].text and ranked[-1].text == "two cats sleep"


def test_one_translation_is_that_one():
    assert reranking.minimum_bayes_risk([Hypothesis("", -np.inf)], are_samples=False)[0].text == ""


def test_what_cannot_be_chosen_among_is_told():
    with pytest.raises(ValueError, match="must hold at least one"):
        reranking.minimum_bayes_risk([])
    with pytest.raises(ValueError, match="must be one of chrf, bleu. Received: name='ter'"):
        reranking.minimum_bayes_risk(FOUND, "ter")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_runs.make(tmp_path_factory.mktemp("runs") / "drawn")


@pytest.fixture(scope="module")
def translator(run):
    return Translator.from_run(run, decoding.BeamSearch(MAX_LENGTH, n_best=3))


@pytest.mark.parametrize("weight", [5.0, pytest.param(0.0, marks=pytest.mark.slow)])
def test_both_directions_are_weighed_by_token(translator, weight):
    found = translator.hypotheses(SOURCES)
    ranked = reranking.noisy_channel(translator, translator, SOURCES, found, weight, batch_size=2)
    for source, row, before in zip(SOURCES, ranked, found, strict=True):
        assert sorted(x.text for x in row) == sorted(x.text for x in before)
        scores = []
        for hypothesis in row:
            sides = []
            for given, said in ((source, hypothesis.text), (hypothesis.text, source)):
                by_token, total = translator.score([given], [said])
                tokens = len(translator.target_tokenizer.tokenize([said]).to_list()[0]) + 1
                assert by_token.shape[1] >= tokens
                sides.append(float(total[0]) / tokens)
            scores.append(sides[0] + weight * sides[1])
        assert (np.diff(scores) <= 1e-4).all(), scores
    with pytest.raises(ValueError, match="hypotheses for each text. Received: 1 texts, hypotheses of 3"):
        reranking.noisy_channel(translator, translator, SOURCES[:1], found)
    with pytest.raises(ValueError, match="`weight` must be at least 0"):
        reranking.noisy_channel(translator, translator, SOURCES, found, -1.0)
