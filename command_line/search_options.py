"""The options of a search, the same in every command that decodes.

This module imports no Keras, so that `--help` and a misspelt option answer at once.
"""

from dataclasses import dataclass, fields
from typing import Any, Self

# What belongs to one search only; all others are of every search.
OWN = {
    "beam search": ("beam", "alpha", "coverage_penalty"),
    "sampling": ("temperature", "top_k", "top_p", "min_p", "seed"),
}
# What has no meaning where nothing is translated.
ABOUT_A_SOURCE = {"coverage_penalty", "max_ratio", "min_ratio"}


@dataclass(frozen=True)
class SearchOptions:
    """How a text is decoded: beam search, or sampling if one of its options is given; see docs/decoding.md.

    Args:
        beam: hypotheses followed for each text; 1 is greedy search. 4 if absent.
        alpha: exponent of the length penalty, >= 0; 0.6 if absent.
        coverage_penalty: weight of the coverage penalty, >= 0; 0 if absent.
        n_best: translations of each text, at most `beam`; when sampling, number of samples.
        temperature: sampling; logits are divided by it, > 0.
        top_k: sampling from the k likeliest tokens.
        top_p: sampling from the likeliest tokens that together have the probability p, 0 < p <= 1.
        min_p: sampling from tokens at least p times as likely as the likeliest, 0 <= p <= 1.
        seed: of the sampling.
        max_length: longest translation in tokens, the end token included; that of the training if absent.
        min_length: shortest translation in tokens, the end token included.
        max_ratio: longest translation in tokens for each token of the source.
        min_ratio: shortest translation in tokens for each token of the source.
        no_repeat_ngram_size: no n-gram of so many tokens occurs twice in a translation; 0 allows all.
        repetition_penalty: > 1 makes tokens that occurred already less likely; 1 changes nothing.
    """

    beam: int | None = None
    alpha: float | None = None
    coverage_penalty: float | None = None
    n_best: int = 1
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    seed: int | None = None
    max_length: int | None = None
    min_length: int = 1
    max_ratio: float | None = None
    min_ratio: float = 0.0
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0

    @classmethod
    def read(cls, options) -> Self:
        """From the parsed options of a command; those that it does not have keep their defaults."""
        return cls(**{field.name: options[field.name] for field in fields(cls) if field.name in options})

    def search(self, max_length: int) -> Any:
        """The search.

        Args:
            max_length: longest result where `max_length` is not set.

        Raises:
            ValueError: a value is out of range, or options of two searches are mixed.
        """
        from keras_transformer import decoding
        from keras_transformer.decoding.checks import MOST_HYPOTHESES, check_size

        kind, own = self._kind()
        # Under the names of the options; the searches call them otherwise.
        for name in ("beam", "n_best"):
            if getattr(self, name) is not None:
                check_size(self, name, most=MOST_HYPOTHESES)
        common = {
            field.name: getattr(self, field.name)
            for field in fields(decoding.Search)
            if hasattr(self, field.name)
        }
        common["max_length"] = max_length if self.max_length is None else self.max_length
        if kind == "sampling":
            return decoding.Sampling(**common, num_samples=self.n_best, **own)
        if kind == "greedy":
            return decoding.Greedy(**common)
        if "beam" in own:
            own["width"] = own.pop("beam")
        return decoding.BeamSearch(**common, n_best=self.n_best, **own)

    def __str__(self):
        """What was chosen, for a report: "beam 4, alpha 0.6", "greedy", "sampling, temperature 0.8"."""
        from keras_transformer.decoding import BeamSearch

        kind, own = self._kind()
        if kind == "beam search":
            own = {"beam": BeamSearch.width, "alpha": BeamSearch.alpha} | own
        elif kind == "greedy":
            own = {}
        owned = {name for names in OWN.values() for name in names}
        common = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in owned and getattr(self, field.name) != field.default
        }
        words = [f"{name} {value}" for name, value in (own | common).items()]
        return ", ".join(words if kind == "beam search" else [kind, *words])

    def _kind(self):
        """Which search, and those of its own options that are given."""
        given = {
            kind: {name: getattr(self, name) for name in names if getattr(self, name) is not None}
            for kind, names in OWN.items()
        }
        beam, sampling = given.values()
        if beam and sampling:
            raise ValueError(
                f"Give options of beam search ({', '.join(OWN['beam search'])}) or of sampling "
                f"({', '.join(OWN['sampling'])}), not of both. Received: {beam | sampling}."
            )
        if sampling:
            return "sampling", sampling
        if beam == {"beam": 1} and self.n_best == 1:
            return "greedy", beam
        return "beam search", beam
