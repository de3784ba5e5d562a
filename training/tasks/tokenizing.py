"""Tokenizers that a training makes for itself."""

from collections.abc import Sequence

from keras_transformer import tokenizers
from training.run_config import TokenizerConfig


def train_tokenizer(
    config: TokenizerConfig, sentences, name: str = "tokenizer", symbols: Sequence[str] = ()
) -> tokenizers.Tokenizer:
    """A tokenizer trained on these texts; of few texts the vocabulary is as large as they allow.

    Args:
        config: see `TokenizerConfig`.
        sentences: list of str.
        name: of the configuration's part, for messages.
        symbols: words that are to be one piece of a sub-word vocabulary.

    Raises:
        ValueError: the texts need a larger vocabulary, there is no text, or the tokenizer is an imported one.
    """
    if config.kind == "imported":
        raise ValueError(
            f"`{name}.kind` imported comes with an imported run, --initial.run RUN; one that is trained is "
            "bpe, unigram, code_points or bytes. Received: imported."
        )
    if config.kind in ("bytes", "code_points"):
        return tokenizers.CharacterTokenizer.train(sentences, unit=config.kind)
    size = config.vocabulary_size
    while True:
        try:
            made = tokenizers.SentencePieceTokenizer.train(
                sentences, size, model_type=config.kind, lowercase=config.lowercase, symbols=symbols
            )
        except tokenizers.VocabularySizeError as error:
            # The bound that the trainer names may itself be a little too high.
            if error.largest is None or not 0 < error.largest < size:
                rule = f"at least {error.smallest}" if error.smallest else f"below {size}"
                raise ValueError(
                    f"`{name}.vocabulary_size` must be {rule} for this data: 4 special pieces, 256 bytes, "
                    f"its characters and the space sign. Received: {config.vocabulary_size}."
                ) from error
            size = error.largest
            continue
        if size < config.vocabulary_size:
            print(f"{name}.vocabulary_size: {size:,}, all that the data has, for {config.vocabulary_size:,}")
        return made
