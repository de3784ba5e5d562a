"""Text embedders: texts to vectors, by a model that was trained elsewhere; see `training.import_weights`."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from command_line import lines, quiet
from training.run_config import RunConfig
from training.tasks.base import Task


@dataclass(frozen=True)
class TextEmbedderConfig:
    """The text embedder's sizes, as `layers.TextEncoder` has them, and how it pools.

    Args:
        kind: this model.
        num_layers: layers.
        hidden_dim: width of every layer and of a vector, a multiple of num_heads.
        num_heads: attention heads.
        intermediate_dim: width inside the feed-forward networks.
        dropout: probability of dropping a value of a sub-layer's output or an embedding.
        attention_dropout: probability of dropping an attention weight.
        activation: of the feed-forward networks.
        max_length: number of positions that have a vector.
        num_segments: number of segment ids.
        norm_epsilon: added to the variance in each norm.
        pooling: what the vector is: mean or max of the hidden states, or the first.
        normalize: whether a vector gets the length 1.
    """

    kind: Literal["text_embedder"] = "text_embedder"
    num_layers: int = 12
    hidden_dim: int = 768
    num_heads: int = 12
    intermediate_dim: int = 3072
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: Literal["gelu", "relu", "silu"] = "gelu"
    max_length: int = 512
    num_segments: int = 2
    norm_epsilon: float = 1e-12
    pooling: Literal["mean", "first", "max"] = "mean"
    normalize: bool = True


@dataclass(frozen=True)
class EmbeddedTextConfig:
    """Texts, as the model reads them.

    Args:
        max_length: tokens that are read of a text, start and end included.
    """

    max_length: int = 512


@dataclass(frozen=True)
class TextEmbeddingConfig(RunConfig):
    """A run that was imported.

    Args:
        data: how texts are read.
        model: the model's sizes.
    """

    data: EmbeddedTextConfig = field(default_factory=EmbeddedTextConfig)
    model: TextEmbedderConfig = field(default_factory=TextEmbedderConfig)


class TextEmbedding(Task):
    """See `Task`; there is no training of it, and nothing to measure."""

    config_class = TextEmbeddingConfig
    models = {"text_embedder": TextEmbedderConfig}
    command = "training.predict"
    about = """Texts as vectors: python -m training.predict --run RUN "two dogs play" [...]

    A line for each text: its vector, a JSON list. Without a text, lines come from standard input.
    """

    def __init__(self, config: RunConfig):
        raise ValueError(
            "A text_embedder is imported (training.import_weights), used and exported: it can neither be "
            "trained nor measured here. Received: model.kind=text_embedder."
        )

    @classmethod
    def add_options(cls, parser) -> None:
        parser.add_argument("texts", type=str, nargs="*", default=[], metavar="TEXT", help="what is embedded")

    @classmethod
    def predict(cls, options, config) -> None:
        with quiet.start_up():
            from keras_transformer.pipelines.text_embedder import TextEmbedder
        with lines.reader(options.texts) as texts, lines.writer(None) as write:
            embedder = TextEmbedder.from_run(options.run, options.checkpoint)
            for chunk in lines.chunks(texts):
                write(map(as_line, embedder.embed(chunk)))


def as_line(vector) -> str:
    """A vector as a JSON list; its digits are those of float32."""
    return json.dumps([float(f"{value:.8g}") for value in vector])


def make_model(config: TextEmbedderConfig, vocabulary_size: int) -> Any:
    """The built model, with weights as drawn."""
    from keras_transformer import layers, models

    sizes = asdict(config)
    pooled = {name: sizes.pop(name) for name in ("pooling", "normalize")}
    del sizes["kind"]
    model = models.SentenceEncoder(
        layers.TextEncoder(vocabulary_size, embedding_scale=1.0, name="encoder", **sizes), **pooled
    )
    model.build()
    return model


TASK = TextEmbedding
