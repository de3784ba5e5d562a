"""Language models: running text, one tokenizer, windows; texts that go on."""

from dataclasses import dataclass, field
from typing import Any, Literal

from command_line import lines, quiet
from command_line.search_options import ABOUT_A_SOURCE, OWN, SearchOptions
from training.run_config import CheckpointsConfig, OptimizerConfig, RunConfig, TokenizerConfig, no_smoothing
from training.tasks.running_text import TextDataConfig, TextTask, by_loss
from training.tasks.transformer_layers import TextStackConfig


@dataclass(frozen=True)
class CausalLMConfig(TextStackConfig):
    """The language model's sizes; those of GPT-2's smallest by default.

    Args:
        kind: this model.
        max_length: number of learned positions; None for the sinusoid, which has no limit,
            for other positions, or for data.window of positions: learned.
        tie_embeddings: whether tokens and logits share one matrix.
    """

    kind: Literal["causal_lm"] = "causal_lm"
    norm_first: bool = True
    max_length: int | None = None
    tie_embeddings: bool = True


@dataclass(frozen=True)
class LanguageModelingConfig(RunConfig):
    """A run that makes a language model.

    Args:
        data: the texts and how they become batches.
        tokenizer: how a text becomes ids.
        model: its sizes.
    """

    optimizer: OptimizerConfig = field(default_factory=no_smoothing)
    checkpoints: CheckpointsConfig = field(default_factory=by_loss)
    data: TextDataConfig = field(default_factory=TextDataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: CausalLMConfig = field(default_factory=CausalLMConfig)


class LanguageModel(TextTask):
    """See `Task`."""

    config_class = LanguageModelingConfig
    models = {"causal_lm": CausalLMConfig}
    command = "training.generate"
    about = """Continues texts with a language model: python -m training.generate --run RUN [TEXT ...]

    Without texts, lines come from standard input; an empty one is the beginning of a text. By default one
    sample from the whole distribution; see docs/decoding.md for the searches. A --max_length beyond the
    window of the training goes on again and again from the last half window.
    """
    vocabularies = {"embedding": "text"}

    def make_example(self, tokens, generator) -> tuple[Any, Any]:
        # Each token is predicted from those before it.
        return {"target_ids": tokens[:, :-1]}, tokens[:, 1:]

    def make_model(self, sizes) -> Any:
        from keras_transformer import models

        options = self.model_options()
        if self.config.model.learns_positions and options["max_length"] is None:
            options["max_length"] = self.config.data.window
        model = models.CausalLM(sizes["vocabulary_size"], **options)
        model.build()
        return model

    @classmethod
    def add_options(cls, parser) -> None:
        parser.add_argument(
            "texts", type=str, nargs="*", default=[], metavar="TEXT", help="what a text begins with"
        )
        parser.add_class_arguments(SearchOptions, as_group=False, skip=ABOUT_A_SOURCE)
        parser.set_defaults(temperature=1.0)

    @classmethod
    def predict(cls, options, config) -> None:
        if any(options.get(name) is not None for name in OWN["beam search"]):
            options.temperature = None  # the default of this command, which beam search has not
        window, length = config.data.window, options.max_length
        goes_beyond = length is not None and length > window
        if goes_beyond:
            options.max_length = window
        search = SearchOptions.read(options).search(window)
        if goes_beyond and options.n_best > 1:
            raise ValueError(
                f"`n_best` must be 1 beyond the window, {window} tokens. Received: {options.n_best}."
            )
        with quiet.start_up():
            from keras_transformer.pipelines.text_generator import TextGenerator
            from keras_transformer.pipelines.text_seeds import TextSeeds
        with lines.reader(options.texts) as texts, lines.writer(None) as write:
            generator = TextGenerator.from_run(options.run, search, options.checkpoint)
            next_seeds = TextSeeds(search)
            for text in texts:
                text = text.decode("utf-8", "replace")
                seeds = next_seeds([text])
                if goes_beyond:
                    write([generator.continued(text, length, seeds and seeds[0])])
                else:
                    write(found for found, _ in generator.generate([text], seeds)[0])


TASK = LanguageModel
