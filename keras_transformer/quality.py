"""Quality of a corpus of translations: sacreBLEU's measures, each with its signature.

`measure` gives figures that can be quoted and repeated; `paired_bootstrap` says whether the difference of
two systems may be chance. Importing this module imports sacreBLEU.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras_transformer.installation import needs
from keras_transformer.texts import as_list

with needs("training"):
    import sacrebleu
    from sacrebleu.metrics.base import Metric, Score
    from sacrebleu.significance import PairedTest


class ExactMatch(Metric):
    """Percentage of translations that equal their reference; one of sacreBLEU's family, signature included.

    Args:
        lowercase: whether case is ignored.
    """

    def __init__(self, lowercase: bool = False):
        super().__init__()
        self.lowercase = lowercase

    def get_signature(self) -> Any:
        signature = super().get_signature()
        signature.update("case", "lc" if self.lowercase else "mixed")
        return signature

    def _preprocess_segment(self, sent):
        return sent.lower() if self.lowercase else sent

    def _extract_reference_info(self, refs):
        return {"references": refs}

    def _compute_segment_statistics(self, hypothesis, ref_kwargs):
        return [int(hypothesis in ref_kwargs["references"]), 1]

    def _aggregate_and_compute(self, stats):
        right, total = map(sum, zip(*stats, strict=True))
        score = self._compute_score_from_stats([right, total])
        score._verbose = f"({right:,} of {total:,})"
        return score

    def _compute_score_from_stats(self, stats):
        right, total = stats
        return Score("exact match", 100 * float(right / total))


MEASURES = {
    "bleu": sacrebleu.BLEU,  # Papineni et al. 2002, signature of Post 2018
    "chrf": sacrebleu.CHRF,  # Popovic 2015
    "chrf++": functools.partial(sacrebleu.CHRF, word_order=2),  # Popovic 2017
    # Snover et al. 2006, an error rate: less is better. The slowest. sacreBLEU alone would ignore the case.
    "ter": lambda lowercase: sacrebleu.TER(case_sensitive=not lowercase),
    "exact_match": ExactMatch,
}
# Those that say something of one sentence; BLEU of the orders that it has.
SENTENCE_MEASURES = {
    "chrf": MEASURES["chrf"],
    "bleu": functools.partial(sacrebleu.BLEU, effective_order=True),
}


@dataclass(frozen=True)
class Measured:
    """One figure of a corpus.

    Attributes:
        name: "BLEU", "chrF2++", ...
        value: usually from 0 to 100.
        details: what sacreBLEU adds, say the precisions; may be empty.
        signature: all that has to be the same for the figure to be comparable.
        decimals: how many of the value's are written.
    """

    name: str
    value: float
    details: str
    signature: str
    decimals: int = 2

    def __str__(self):
        details = f" {self.details}" if self.details else ""
        return f"{self.name} = {self.value:.{self.decimals}f}{details}  {self.signature}"


@dataclass(frozen=True)
class Compared:
    """One figure of one system of a comparison.

    Attributes:
        system: its name.
        name: of the measure.
        value: of the corpus as it is.
        mean, margin: of the resampled corpora: 95 % of them lie within mean - margin and mean + margin.
        p_value: chance to see such a difference from the first system if there is none; None for the first.
        signature: of the measure, with the number of samples and the seed.
    """

    system: str
    name: str
    value: float
    mean: float
    margin: float
    p_value: float | None
    signature: str


def measure(
    translations: Sequence[str],
    references: Sequence[str],
    names: Sequence[str] = ("bleu", "chrf"),
    lowercase: bool = False,
) -> dict[str, Measured]:
    """Measures the translations of a corpus.

    Args:
        translations: N texts, as a reader would get them: not tokenised.
        references: N texts.
        names: of `MEASURES`.
        lowercase: whether case is ignored.

    Returns:
        {name: `Measured`}, in the order of `names`.

    Raises:
        ValueError: there is no translation, or another number of references, or one of the two is a single
            string.
    """
    translations = _strings(translations, "translations")
    references = _strings(references, "references")
    check_lengths({"translations": translations, "references": references})
    measured = {}
    for name in names:
        metric = MEASURES[name](lowercase=lowercase)
        score = metric.corpus_score(translations, [references])
        details = score.format(width=2).removeprefix(f"{score.name} = {score.score:.2f}").strip()
        measured[name] = Measured(score.name, float(score.score), details, str(metric.get_signature()))
    return measured


def sentence_scores(
    translations: Sequence[str], references: Sequence[str], name: str = "chrf", lowercase: bool = False
) -> list[float]:
    """A measure of each sentence by itself, 0 to 100.

    Args:
        translations: N texts.
        references: N texts.
        name: "chrf", which tells short sentences apart, or "bleu", smoothed, of the n-grams that there are.
        lowercase: whether case is ignored.

    Raises:
        ValueError: another measure, or lists of other lengths.
    """
    if name not in SENTENCE_MEASURES:
        raise ValueError(f"`name` must be one of {', '.join(SENTENCE_MEASURES)}. Received: name={name!r}.")
    metric = SENTENCE_MEASURES[name](lowercase=lowercase)
    pairs = zip(_strings(translations, "translations"), _strings(references, "references"), strict=True)
    return [metric.sentence_score(translation, [reference]).score for translation, reference in pairs]


def paired_bootstrap(
    systems: dict[str, Sequence[str]],
    references: Sequence[str],
    names: Sequence[str] = ("bleu", "chrf++"),
    lowercase: bool = False,
    num_samples: int = 1000,
) -> list[Compared]:
    """Compares systems that translated the same sentences: Koehn 2004, by sacreBLEU.

    `num_samples` test sets of N sentences are drawn from the N with replacement, the same for all systems.
    The p-value is that of sacreBLEU and Moses: how often the absolute difference in a sample, less the mean
    of these, exceeds the difference in the corpus. The seed is sacreBLEU's 12345, or the environment
    variable SACREBLEU_SEED. Memory: 100 bytes for each sentence and sample, 100 MB for 1,000 of each.

    Args:
        systems: {name: N texts}; the others are compared with the first.
        references: N texts.
        names: of `MEASURES`.
        lowercase: whether case is ignored.
        num_samples: number of test sets drawn, >= 1.

    Returns:
        For each measure one `Compared` of each system.

    Raises:
        ValueError: a system has another number of texts than there are references, or none.
    """
    references = _strings(references, "references")
    systems = {name: _strings(texts, name) for name, texts in systems.items()}
    check_lengths({"references": references, **systems})
    metrics = {name: MEASURES[name](lowercase=lowercase) for name in names}
    test = PairedTest(list(systems.items()), metrics, [references], test_type="bs", n_samples=num_samples)
    signatures, results = test()
    compared = []
    for name, signature in signatures.items():
        for (system, texts), result in zip(systems.items(), results[name], strict=True):
            p_value = result.p_value
            if p_value is not None and same(texts, next(iter(systems.values())), lowercase):
                p_value = 1.0  # sacreBLEU's count gives 1 / (num_samples + 1) where all differences are 0
            value, mean, margin = (float(x) for x in (result.score, result.mean, result.ci))
            compared.append(Compared(system, name, value, mean, margin, p_value, str(signature)))
    return compared


def _strings(texts, name):
    """The texts as a list of str: sacreBLEU reads no bytes."""
    return [
        text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in as_list(texts, name)
    ]


def same(texts: Sequence[str], others: Sequence[str], lowercase: bool) -> bool:
    """Whether two systems say the same."""
    return all(a == b or (lowercase and a.lower() == b.lower()) for a, b in zip(texts, others, strict=True))


def check_lengths(texts: dict[str, Sequence[str]]) -> None:
    """Raises ValueError unless all lists have as many texts, and at least one."""
    lengths = {name: len(side) for name, side in texts.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        counts = ", ".join(f"{length:,} {name}" for name, length in lengths.items())
        raise ValueError(
            f"There must be one translation for each reference, and at least one. Received: {counts}."
        )
