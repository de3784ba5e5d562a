"""OpenNMT-tf 2.32. Variant: "graph"; "xla"."""

import tempfile
from pathlib import Path

import numpy as np
import opennmt
import tensorflow as tf

from benchmarks.training_peers import child


class Training:
    """See `child.serve`: the model's own loss, gradients and optimizer, in one graph."""

    def __init__(self, specification, batches):
        sizes, dropout = specification["sizes"], specification["dropout"]
        xla = specification["variant"] == "xla"
        self.model = opennmt.models.Transformer(
            num_layers=sizes["num_layers"],
            num_units=sizes["hidden_dim"],
            num_heads=sizes["num_heads"],
            ffn_inner_dim=sizes["intermediate_dim"],
            dropout=dropout,
            attention_dropout=0.0,  # the paper's places alone
            ffn_dropout=0.0,
            share_embeddings=opennmt.models.EmbeddingsSharingLevel.ALL,
            pre_norm=False,
        )
        with tempfile.TemporaryDirectory() as folder:
            vocabulary = Path(folder, "vocabulary")
            # The model adds one id for unknown tokens.
            vocabulary.write_text("\n".join(f"token{i}" for i in range(sizes["vocabulary_size"] - 1)))
            files = {"source_vocabulary": str(vocabulary), "target_vocabulary": str(vocabulary)}
            params = {
                "optimizer": "Adam",
                "learning_rate": 1e-4,
                "label_smoothing": specification["label_smoothing"],
                "average_loss_in_time": True,  # over tokens
            }
            self.model.initialize(files, params=params)
        optimizer = self.model.get_optimizer()
        dataset = tf.data.Dataset.from_tensor_slices(arguments(batches)).repeat()
        self.batches = iter(dataset)
        self.model.create_variables(optimizer)

        @tf.function(jit_compile=xla or None)
        def step(features, labels):
            loss, gradients = self.model.compute_gradients(features, labels, optimizer)
            # AutoGraph's zip knows no `strict`.
            optimizer.apply_gradients(zip(gradients, self.model.trainable_weights))  # noqa: B905
            return loss

        self.step = step

    def weights(self):
        return [np.array(variable) for variable in self.model.trainable_weights]

    def run(self, steps):
        return child.timed(lambda: self.step(*next(self.batches)), steps)


def arguments(batches):
    """What the model takes as features and labels."""
    lengths = {name: (batches[name] != 0).sum(-1).astype("int32") for name in ("source_ids", "labels")}
    features = {"ids": batches["source_ids"], "length": lengths["source_ids"]}
    labels = {"ids": batches["target_ids"], "ids_out": batches["labels"], "length": lengths["labels"]}
    return features, labels


def make(specification, batches):
    tf.config.threading.set_intra_op_parallelism_threads(specification["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(specification["threads"])
    tf.random.set_seed(0)
    return Training(specification, batches)


if __name__ == "__main__":
    child.serve(make)
