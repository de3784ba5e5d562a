"""Base of the translation models: two vocabularies, two embeddings, and the sizes of their stacks."""

from collections.abc import Callable
from typing import Any

import keras

from keras_transformer import arguments
from keras_transformer.models.base import AutoregressiveModel, id_specs
from keras_transformer.types import Tree


class Seq2Seq(AutoregressiveModel):
    """Base of the models that read `source_ids` and write `target_ids`.

    Args:
        source_vocabulary_size: number of source ids, special ids included.
        target_vocabulary_size: V, number of target ids, special ids included.
        num_layers: of the encoder and of the decoder, >= 1.
        hidden_dim: D, width of the layers, >= 1.
        share_embeddings: whether source and target share one embedding (a joint vocabulary).

    Raises:
        ValueError: a size is out of range, or vocabularies of two sizes are to share embeddings.
    """

    def __init__(
        self,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        num_layers: int,
        hidden_dim: int,
        share_embeddings: bool,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        sizes = {
            "source_vocabulary_size": source_vocabulary_size,
            "target_vocabulary_size": target_vocabulary_size,
            "num_layers": num_layers,
            "hidden_dim": hidden_dim,
        }
        arguments.check_sizes(**sizes)
        if share_embeddings and source_vocabulary_size != target_vocabulary_size:
            raise ValueError(
                "`share_embeddings` needs one joint vocabulary. Received: "
                f"source_vocabulary_size={source_vocabulary_size}, "
                f"target_vocabulary_size={target_vocabulary_size}."
            )
        self.source_vocabulary_size = source_vocabulary_size
        self.target_vocabulary_size = target_vocabulary_size
        self.num_layers = num_layers
        self.hidden_dim = hidden_dim
        self.share_embeddings = share_embeddings

    def _make_embeddings(self, embedding: Callable[..., keras.layers.Layer], **of_target: Any) -> None:
        """Makes `target_embedding` and `source_embedding`, one or two.

        Args:
            embedding: `embedding(size, name=...)` is one.
            **of_target: further arguments of the target's, which gives the logits.
        """
        self.target_embedding = embedding(self.target_vocabulary_size, name="target_embedding", **of_target)
        self.source_embedding = self.target_embedding
        if not self.share_embeddings:
            self.source_embedding = embedding(self.source_vocabulary_size, name="source_embedding")

    def input_specs(self) -> Tree:
        """See `ZooModel`."""
        return id_specs("source_ids", "target_ids")
