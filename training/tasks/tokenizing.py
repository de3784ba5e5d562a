"""Tokenizers that a training makes for itself."""

from keras_transformer import tokenizers
from training.config import TokenizerConfig


def train_tokenizer(config: TokenizerConfig, sentences):
    """A tokenizer trained on these texts.

    Args:
        config: see `TokenizerConfig`.
        sentences: list of str.
    """
    if config.kind in ("bytes", "code_points"):
        return tokenizers.CharacterTokenizer.train(sentences, unit=config.kind)
    return tokenizers.SentencePieceTokenizer.train(
        sentences, config.vocabulary_size, model_type=config.kind, lowercase=config.lowercase
    )
