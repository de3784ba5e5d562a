"""Measures of a corpus: sacreBLEU's figures with their signatures, and what a difference is worth."""

import numpy as np
import pytest
import sacrebleu

from keras_transformer import quality

REFERENCES = ["A small dog runs across the green grass.", "Two men talk.", "yes", "A girl in Red sleeps."]
TRANSLATIONS = ["A small dog is running across the grass.", "two men talk.", "yes", "A girl in red sleeps."]
EVERYTHING = tuple(quality.MEASURES)


def test_the_figures_are_those_of_sacrebleu():
    measured = quality.measure(TRANSLATIONS, REFERENCES, EVERYTHING)
    assert list(measured) == list(EVERYTHING)
    expected = {
        "bleu": sacrebleu.corpus_bleu(TRANSLATIONS, [REFERENCES]),
        "chrf": sacrebleu.corpus_chrf(TRANSLATIONS, [REFERENCES]),
        "chrf++": sacrebleu.corpus_chrf(TRANSLATIONS, [REFERENCES], word_order=2),
        "ter": sacrebleu.corpus_ter(TRANSLATIONS, [REFERENCES], case_sensitive=True),
    }
    for name, score in expected.items():
        assert measured[name].value == score.score
        assert str(measured[name]).startswith(str(score))
    assert [measured[name].name for name in EVERYTHING] == ["BLEU", "chrF2", "chrF2++", "TER", "exact match"]


def test_a_signature_says_what_has_to_be_the_same():
    for lowercase, case in ((False, "case:mixed"), (True, "case:lc")):
        for found in quality.measure(TRANSLATIONS, REFERENCES, EVERYTHING, lowercase).values():
            assert case in found.signature and "nrefs:1" in found.signature
            assert f"version:{sacrebleu.__version__}" in found.signature
            assert str(found).endswith(f"  {found.signature}")
    measured = quality.measure(TRANSLATIONS, REFERENCES, EVERYTHING)
    assert "tok:13a" in measured["bleu"].signature and "tok:tercom" in measured["ter"].signature
    assert "nw:0" in measured["chrf"].signature and "nw:2" in measured["chrf++"].signature


@pytest.mark.parametrize("name", EVERYTHING)
def test_case_counts_unless_it_is_ignored(name):
    shouted = [text.upper() for text in REFERENCES]
    perfect = 0 if name == "ter" else 100
    assert quality.measure(shouted, REFERENCES, [name], lowercase=True)[name].value == pytest.approx(perfect)
    assert quality.measure(shouted, REFERENCES, [name])[name].value != pytest.approx(perfect)
    assert quality.measure(REFERENCES, REFERENCES, [name])[name].value == pytest.approx(perfect)


def test_exact_match_counts_equal_sentences():
    (found,) = quality.measure(TRANSLATIONS, REFERENCES, ["exact_match"]).values()
    assert found.value == 25 and found.details == "(1 of 4)"
    (found,) = quality.measure(TRANSLATIONS, REFERENCES, ["exact_match"], lowercase=True).values()
    assert found.value == 75
    assert str(found) == f"exact match = 75.00 (3 of 4)  {found.signature}"


def test_a_sentence_has_the_chrf_of_a_corpus_of_one():
    scores = quality.sentence_scores(TRANSLATIONS, REFERENCES)
    for score, *pair in zip(scores, TRANSLATIONS, REFERENCES, strict=True):
        (alone,) = quality.measure(*([text] for text in pair), ["chrf"]).values()
        assert score == alone.value
    assert scores[2] == 100 and quality.sentence_scores(["A"], ["a"], lowercase=True) == [100]


@pytest.mark.parametrize(
    ("translations", "references", "received"),
    [(["a"], ["a", "b"], "1 translations, 2 references"), ([], [], "0 translations, 0 references")],
)
def test_every_translation_has_its_reference(translations, references, received):
    with pytest.raises(ValueError, match=f"one translation for each reference.*Received: {received}"):
        quality.measure(translations, references)


@pytest.fixture(scope="module")
def systems():
    """40 references, and three systems: 30, 10 and 30 sentences are right; the third is the first shouted."""
    references = [f"the number of this sentence is {number}" for number in range(40)]
    good = references[:30] + ["no idea at all"] * 10
    bad = ["no idea at all"] * 20 + references[20:30] + ["no idea at all"] * 10
    return references, {"good": good, "bad": bad, "loud": [text.upper() for text in good]}


def test_the_bootstrap_is_the_one_of_koehn(systems):
    references, texts = systems
    good, bad, _ = quality.paired_bootstrap(texts, references, ["exact_match"])
    right = {
        name: np.array([a == b for a, b in zip(texts[name], references, strict=True)])
        for name in ("good", "bad")
    }
    draws = np.random.default_rng(12345).choice(40, size=(1000, 40), replace=True)
    drawn = {name: 100 * right[name][draws].mean(axis=1) for name in right}
    for found in (good, bad):
        scores = np.sort(drawn[found.system])
        assert found.value == 100 * right[found.system].mean()
        assert found.mean == pytest.approx(scores.mean(), abs=1e-4)
        assert found.margin == pytest.approx((scores[974] - scores[25]) / 2, abs=1e-4)
    differences = np.abs(drawn["good"] - drawn["bad"])
    count = (differences - differences.mean() > 50).sum()
    assert good.p_value is None and bad.p_value == (count + 1) / 1001
    assert "bs:1000|seed:12345" in good.signature == bad.signature


def test_a_large_difference_is_significant_and_none_is_not(systems):
    references, texts = systems
    found = quality.paired_bootstrap(texts, references, ["bleu", "chrf++", "ter"], lowercase=True)
    assert [row.name for row in found] == ["BLEU"] * 3 + ["chrF2++"] * 3 + ["TER"] * 3
    assert [row.system for row in found] == ["good", "bad", "loud"] * 3
    for first, other, same in zip(*[iter(found)] * 3, strict=True):
        assert first.p_value is None and other.p_value < 0.05
        assert same.p_value == 1  # sacreBLEU alone says 0.001
        assert (same.value, same.mean, same.margin) == (first.value, first.mean, first.margin)
    *_, loud = quality.paired_bootstrap(texts, references, ["bleu"])
    assert loud.p_value < 0.05


def test_systems_of_other_lengths_are_never_compared(systems):
    references, texts = systems
    with pytest.raises(ValueError, match="Received: 40 references, 40 good, 39 short"):
        quality.paired_bootstrap({"good": texts["good"], "short": texts["bad"][:-1]}, references)
