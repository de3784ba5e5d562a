"""BLEU, chrF and exact match of the validation set, inside `fit`."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_transformer.texts import as_list

# What is quick enough to be measured after every epoch; see `quality.MEASURES`.
MEASURES = ("bleu", "chrf", "exact_match")


class TranslationQuality(keras.callbacks.Callback):
    """Translates the validation set after every `frequency`-th epoch; adds `val_bleu` and `val_chrf`.

    These, and `val_exact_match`, enter the epoch's logs, 0 to 100, so that every callback that comes after
    this one can use them, and so can `history` and keras-tuner: `EarlyStopping("val_bleu", mode="max")`. In
    an epoch without translation they are absent.

        translator = Translator(model, source_tokenizer, target_tokenizer, decoding.Greedy(64), 64)
        quality = TranslationQuality(translator, sources, references)
        model.fit(batches, callbacks=[quality, keras.callbacks.EarlyStopping("val_bleu", mode="max")])

    Args:
        translator: a `Translator` with the model that is fitted.
        sources: N texts; whatever the translator takes, images of a `Captioner` too.
        references: N texts, one for each source.
        frequency: epochs from one translation to the next, >= 1.
        batch_size: texts decoded together.
        lowercase: whether case is ignored.
        num_shown: translations that are printed each time, the first of `sources`.

    Attributes:
        signatures: {"val_bleu": str, "val_chrf": str, ...}, sacreBLEU's, with which a figure can be quoted.

    Raises:
        ValueError: there is no source, or another number of references, or `frequency` is not positive.
    """

    def __init__(
        self,
        translator: Any,
        sources: Sequence[str],
        references: Sequence[str],
        frequency: int = 1,
        batch_size: int = 128,
        lowercase: bool = False,
        num_shown: int = 3,
    ):
        super().__init__()
        from keras_transformer import quality  # here: the other callbacks do not need sacreBLEU

        if isinstance(sources, str | bytes):
            as_list(sources, "sources")  # which refuses it; images are no texts
        references = as_list(references, "references")
        if not len(sources) or len(sources) != len(references):
            raise ValueError(
                "There must be at least one source, and one reference for each. "
                f"Received: {len(sources)} sources, {len(references)} references."
            )
        if frequency < 1:
            raise ValueError(f"`frequency` must be a positive integer. Received: frequency={frequency}.")
        self.translator = translator
        self.sources = sources
        self.references = references
        self.frequency = frequency
        self.batch_size = batch_size
        self.lowercase = lowercase
        self.num_shown = num_shown
        self.measure = quality.measure
        self.signatures = {}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.frequency:
            return
        logs = {} if logs is None else logs
        translations = self.translator.translate(self.sources, self.batch_size)
        measured = self.measure(translations, self.references, MEASURES, self.lowercase)
        for name, found in measured.items():
            self.signatures[f"val_{name}"] = found.signature
            logs[f"val_{name}"] = found.value
        shown = zip(self.sources, translations, self.references, strict=True)
        for source, translation, reference in list(shown)[: self.num_shown]:
            if isinstance(source, str):
                print(f"\n  source      {source}", end="")
            print(f"\n  translation {translation}\n  reference   {reference}")
