"""Every model of the zoo, small, and the inputs of a call: for the tests that all of them pass."""

import numpy as np

from keras_transformer import layers, models

SIZES = {"num_layers": 1, "hidden_dim": 6}
HEADS = {"num_heads": 2, "intermediate_dim": 5}
PAIRS = {"source_vocabulary_size": 13, "target_vocabulary_size": 13}


def text_encoder(**kwargs):
    return layers.TextEncoder(13, **SIZES, **HEADS, max_length=11, **kwargs)


MODELS = {
    "AttentionCNN": lambda **kwargs: models.AttentionCNN(3, filters=(3, 4), **kwargs),
    "CausalLM": lambda **kwargs: models.CausalLM(13, **SIZES, **HEADS, tie_embeddings=False, **kwargs),
    "ConvSeq2Seq": lambda **kwargs: models.ConvSeq2Seq(**PAIRS, **SIZES, **kwargs),
    "ImageCaptioner": lambda **kwargs: models.ImageCaptioner(
        13, "gru", filters=(3, 4), channels=1, **SIZES, **kwargs
    ),
    "MaskedLM": lambda **kwargs: models.MaskedLM(text_encoder(**kwargs), **kwargs),
    "RNNClassifier": lambda **kwargs: models.RNNClassifier(13, 3, 5, 4, **kwargs),
    "RNNSeq2Seq": lambda **kwargs: models.RNNSeq2Seq(**PAIRS, **SIZES, **kwargs),
    "SentenceEncoder": lambda **kwargs: models.SentenceEncoder(text_encoder(**kwargs), **kwargs),
    "SequenceClassifier": lambda **kwargs: models.SequenceClassifier(text_encoder(**kwargs), 3, **kwargs),
    "TokenClassifier": lambda **kwargs: models.TokenClassifier(text_encoder(**kwargs), 3, **kwargs),
    "Transformer": lambda **kwargs: models.Transformer(**PAIRS, **SIZES, **HEADS, **kwargs),
    "VisionTransformer": lambda **kwargs: models.VisionTransformer(
        3, (8, 4, 1), 2, **SIZES, **HEADS, **kwargs
    ),
}


def inputs(name, rows=2, length=3, source_length=4):
    """What a call of the model takes."""
    rng = np.random.default_rng(0)
    image = rng.uniform(size=(rows, 2 * source_length, 5, 1)).astype("float32")
    source, target = (rng.integers(4, 13, (rows, n)).astype("int32") for n in (source_length, length))
    return {
        "AttentionCNN": image,
        "CausalLM": {"target_ids": target},
        "ImageCaptioner": {"image": image, "target_ids": target},
        "MaskedLM": {"token_ids": target},
        "RNNClassifier": {"token_ids": target},
        "SentenceEncoder": {"token_ids": target},
        "SequenceClassifier": {"token_ids": target, "segment_ids": target % 2},
        "TokenClassifier": {"token_ids": target},
        "VisionTransformer": rng.uniform(size=(rows, 8, 4, 1)).astype("float32"),
    }.get(name, {"source_ids": source, "target_ids": target})
