"""Masked language models: running text in windows, some tokens hidden; gaps that are filled."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from command_line import lines, quiet
from training.run_config import CheckpointsConfig, OptimizerConfig, RunConfig, TokenizerConfig, no_smoothing
from training.tasks.running_text import TextDataConfig, TextTask, by_loss
from training.tasks.transformer_layers import TextEncoderConfig, text_encoder


@dataclass(frozen=True)
class MaskedLMConfig(TextEncoderConfig):
    """The masked language model's sizes, and what is hidden from it.

    Args:
        kind: this model.
        masked: share of the tokens that are hidden.
        head_activation: of the layer between encoder and logits.
    """

    kind: Literal["masked_lm"] = "masked_lm"
    masked: float = 0.15
    head_activation: str = "gelu"


@dataclass(frozen=True)
class MaskedLanguageModelingConfig(RunConfig):
    """A run that makes a masked language model.

    Args:
        data: the texts and how they become batches.
        tokenizer: how a text becomes ids.
        model: its sizes, and how much is hidden from it.
    """

    optimizer: OptimizerConfig = field(default_factory=no_smoothing)
    checkpoints: CheckpointsConfig = field(default_factory=by_loss)
    data: TextDataConfig = field(default_factory=TextDataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: MaskedLMConfig = field(default_factory=MaskedLMConfig)


class MaskedLanguageModel(TextTask):
    """See `Task`.

    Other tokens are hidden each time that a window is seen, and always the same ones in validation. The mask
    is one id more than the tokenizer has. An imported model has one among its ids, and reads [CLS] window
    [SEP].
    """

    config_class = MaskedLanguageModelingConfig
    models = {"masked_lm": MaskedLMConfig}
    command = "training.fill"
    about = """Fills the gap of a text: python -m training.fill --run RUN "to be, or [MASK]ot" [...]

    A line for each candidate, likeliest first: the token as a JSON string, so that blanks and line ends
    can be seen, a tab, its probability; of several texts, all lines of the first come first. Without a
    text, lines come from standard input. The first [MASK] is filled; the model reads further ones as
    gaps.
    """
    inputs = "token_ids"

    def tokens_of_window(self) -> int:
        return self.config.data.window - sum(map(len, self._around()))

    def _around(self):
        """The ids before and behind each window: [CLS] and [SEP] of an imported model."""
        from keras_transformer.pipelines.text_graphs import ends

        return ends(self.tokenizers["text"])

    @property
    def sizes(self) -> dict[str, Any]:
        has_mask = self.config.tokenizer.kind == "imported"
        return {"vocabulary_size": self.tokenizers["text"].vocabulary_size + (0 if has_mask else 1)}

    def make_example(self, tokens, generator) -> tuple[Any, Any]:
        import numpy as np

        from keras_transformer.pipelines.mask_filler import masked_ids
        from keras_transformer.special_ids import PAD_ID
        from keras_transformer.token_masking import masked_tokens

        tokens, (before, behind) = tokens[:, 1:], self._around()
        ids = np.pad(tokens, ((0, 0), (len(before), len(behind))))
        for row, length in enumerate((tokens != PAD_ID).sum(axis=1)):
            if length:  # a row that fills up a batch stays empty
                ids[row, : len(before)] = before
                ids[row, len(before) + length :][: len(behind)] = behind
        size = self.sizes["vocabulary_size"]
        mask_id, special_ids = masked_ids(size, self.tokenizers["text"])
        ids, labels = masked_tokens(
            ids,
            size,
            self.config.model.masked,
            seed=int(generator.integers(2**31)),
            mask_id=mask_id,
            special_ids=special_ids,
        )
        return {"token_ids": np.asarray(ids)}, np.asarray(labels)

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        ids = generator.integers(4, sizes["vocabulary_size"], shape, dtype="int32")
        return {"token_ids": ids}, ids

    def make_model(self, sizes) -> Any:
        from keras_transformer import models

        options = self.model_options("masked", "head_activation")
        encoder = text_encoder(sizes["vocabulary_size"], self.config.data.window, **options)
        model = models.MaskedLM(encoder, activation=self.config.model.head_activation)
        model.build()
        return model

    def metrics(self) -> list:
        from keras_transformer import metrics

        return [metrics.TokenAccuracy()]

    @classmethod
    def add_options(cls, parser) -> None:
        parser.add_argument(
            "texts", type=str, nargs="*", default=[], metavar="TEXT", help="with [MASK] where the gap is"
        )
        parser.add_argument("--candidates", type=int, default=5, help="how many are printed")

    @classmethod
    def predict(cls, options, config) -> None:
        if options.candidates < 1:
            raise ValueError(f"`candidates` must be at least 1. Received: {options.candidates}.")
        with quiet.start_up():
            import tensorflow as tf

            from keras_transformer.pipelines.mask_filler import MASK, MaskFiller
        with lines.reader(options.texts) as texts, lines.writer(None) as write:
            filler = MaskFiller.from_run(options.run, options.checkpoint)
            for text in texts:
                if MASK.encode() not in text:
                    raise ValueError(
                        f"Each text must hold {MASK}. Received: {text.decode('utf-8', 'replace')!r}."
                    )
                found = filler(tf.constant([text]), options.candidates)
                write(map(as_line, *(x.numpy()[0] for x in found)))


def as_line(candidate, probability) -> str:
    """A token, bytes, and its probability as a line."""
    token = json.dumps(candidate.decode("utf-8", "backslashreplace"), ensure_ascii=False)
    return f"{token}\t{probability:.4f}"


TASK = MaskedLanguageModel
