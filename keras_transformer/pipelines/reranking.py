"""Which of several translations of a text is taken: by their likeness, or by a model of the other direction.

Both choose among what a search has found, `Translator.hypotheses` with an n-best list or samples.
"""

from collections.abc import Sequence

import numpy as np

from keras_transformer import quality
from keras_transformer.installation import needs
from keras_transformer.pipelines.hypotheses import Hypothesis, batches
from keras_transformer.pipelines.translator import Translator

with needs("text"):
    import tensorflow as tf


def minimum_bayes_risk(
    hypotheses: Sequence[Hypothesis], utility: str = "chrf", are_samples: bool = True
) -> list[Hypothesis]:
    """Sorts the hypotheses of one text by how like they are to all of them, most like first.

    Eikema & Aziz 2022, "Sampling-Based Approximations to Minimum Bayes Risk Decoding for Neural Machine
    Translation", equation 4: a translation's expected utility, where the others stand for what a person might
    have written. Time grows with the square of their number: 32 take about 0.2 s.

    Args:
        hypotheses: of one text; a text that was drawn twice counts twice.
        utility: sacreBLEU's measure of one sentence, "chrf" or "bleu".
        are_samples: whether they were drawn, so that all count alike; those of a beam search count by their
            probabilities.

    Raises:
        ValueError: there is no hypothesis, or another utility.
    """
    if not hypotheses:
        raise ValueError("`hypotheses` must hold at least one. Received: none.")
    scores = np.array([hypothesis.score for hypothesis in hypotheses])
    # A list of one, which stands for none, has the score -inf.
    weights = np.ones(len(scores)) if are_samples or len(scores) == 1 else np.exp(scores - scores.max())
    # Each text once: what is drawn often costs nothing more.
    texts, places = np.unique([hypothesis.text for hypothesis in hypotheses], return_inverse=True)
    mass = np.bincount(places, weights)
    expected = np.zeros(len(texts))
    for reference, weight in zip(texts, mass / mass.sum(), strict=True):
        scored = quality.sentence_scores([str(text) for text in texts], [reference] * len(texts), utility)
        expected += weight * np.array(scored)
    order = np.argsort(-expected[places], kind="stable")
    return [hypotheses[place] for place in order]


def noisy_channel(
    translator: Translator,
    reverse: Translator,
    sources: Sequence[str | bytes],
    hypotheses: Sequence[Sequence[Hypothesis]],
    weight: float = 1.0,
    batch_size: int = 64,
) -> list[list[Hypothesis]]:
    """Sorts the hypotheses of each text by both directions, log P(y | x) / T + weight * log P(x | y) / S.

    Yee et al. 2019, "Simple and Effective Noisy Channel Modeling for Neural Machine Translation", equation 3,
    without its language model. T and S are the tokens of the translation and of the source, with the ends.

    Args:
        translator: of the hypotheses.
        reverse: from their language to that of the sources.
        sources: the texts.
        hypotheses: of each text, as `translator.hypotheses` returns them.
        weight: of the reverse direction, >= 0.
        batch_size: pairs that are scored together.

    Raises:
        ValueError: a weight below 0, or there are not hypotheses for each text.
    """
    if weight < 0:
        raise ValueError(f"`weight` must be at least 0. Received: weight={weight}.")
    if len(sources) != len(hypotheses):
        raise ValueError(
            "There must be hypotheses for each text. "
            f"Received: {len(sources)} texts, hypotheses of {len(hypotheses)}."
        )
    pairs = [(text, found.text) for text, row in zip(sources, hypotheses, strict=True) for found in row]
    forward = mean_log_probs(translator, pairs, batch_size)
    backward = mean_log_probs(reverse, [pair[::-1] for pair in pairs], batch_size)
    scores = iter(forward + weight * backward)
    ranked = []
    for row in hypotheses:
        order = np.argsort([-next(scores) for _ in row], kind="stable")
        ranked.append([row[place] for place in order])
    return ranked


def mean_log_probs(
    translator: Translator, pairs: Sequence[tuple[str | bytes, str | bytes]], batch_size: int = 64
) -> np.ndarray:
    """The log-probability of each target given its source, divided by the target's tokens: float32 (N,).

    Args:
        translator: whose model says it.
        pairs: source and target, N of them.
        batch_size: pairs that are scored together.
    """

    def scored(source, target):
        _, total = translator.score(source, target)
        tokens = translator.target_tokenizer.tokenize(target).row_lengths() + 1
        return total / tf.cast(tokens, total.dtype)

    graph = tf.function(scored, input_signature=[tf.TensorSpec([None], tf.string)] * 2, autograph=False)
    found = np.zeros(len(pairs), "float32")
    for indices in batches([target for _, target in pairs], batch_size):
        found[indices] = graph(*(tf.constant([pairs[n][side] for n in indices]) for side in (0, 1))).numpy()
    return found
