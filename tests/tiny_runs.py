"""Run folders with a tiny model that was never trained: answers that depend on the question, in seconds."""

import keras
import numpy as np
import yaml

from keras_transformer import models, tokenizers

MAX_LENGTH = 13
NUM_LAYERS, NUM_HEADS = 2, 2
DIGITS = "0123456789-"


def make(folder, characters=DIGITS, seed=3):
    """Writes what `training.train` leaves, as far as the other commands read it; returns the folder.

    The source's tokens are bytes and the target's are `characters`. The data set is dates.
    """
    keras.utils.set_random_seed(seed)
    source = tokenizers.CharacterTokenizer.train([], unit="bytes")
    target = tokenizers.CharacterTokenizer.train([characters])
    model = models.Transformer(
        source_vocabulary_size=source.vocabulary_size,
        target_vocabulary_size=target.vocabulary_size,
        num_layers=NUM_LAYERS,
        hidden_dim=6,
        num_heads=NUM_HEADS,
        intermediate_dim=11,
    )
    ids = np.ones((1, 2), "int32")
    model({"source_ids": ids, "target_ids": ids})
    model.set_weights([3 * weight for weight in model.get_weights()])
    (folder / "tokenizer").mkdir(parents=True)
    source.save(folder / "tokenizer" / "source")
    target.save(folder / "tokenizer" / "target")
    model.save(folder / "model.keras")
    config = {
        "data": {
            "name": "dates",
            "num_examples": 7,
            "max_length": MAX_LENGTH,
            "bucket_boundaries": [MAX_LENGTH],
        },
        "model": {"num_layers": NUM_LAYERS, "num_heads": NUM_HEADS},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder
