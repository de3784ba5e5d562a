"""Sub-word and character tokenizers that run inside the TensorFlow graph.

A tokenizer is a `tf.Module`: it works in eager mode, in a `tf.function`, in `tf.data.Dataset.map`
and in an exported SavedModel, which carries it along. Only training a SentencePiece model needs the
`sentencepiece` package.

All agree on four ids (`keras_transformer.special_ids`): pad 0, unknown 1, start 2, end 3; but for the
`WordPieceTokenizer`, whose vocabulary is another's: only pad is 0 there, and the others are attributes.
`tokenize` adds none of them around the text; `detokenize` reads them.
"""

from pathlib import Path
from typing import TypeAlias

from keras_transformer.installation import needs
from keras_transformer.saving.run_files import read_json
from keras_transformer.types import StrPath

with needs("text"):
    from keras_transformer.tokenizers.characters import CharacterTokenizer
    from keras_transformer.tokenizers.marian import MarianTokenizer
    from keras_transformer.tokenizers.pieces import PieceTokenizer
    from keras_transformer.tokenizers.sentencepiece import (
        MODEL_FILE,
        SentencePieceTokenizer,
        VocabularySizeError,
    )
    from keras_transformer.tokenizers.t5 import T5Tokenizer
    from keras_transformer.tokenizers.text import CONFIG_FILE
    from keras_transformer.tokenizers.wordpiece import WordPieceTokenizer
    from keras_transformer.tokenizers.words import WordTokenizer

__all__ = [
    "CharacterTokenizer",
    "MarianTokenizer",
    "PieceTokenizer",
    "SentencePieceTokenizer",
    "T5Tokenizer",
    "Tokenizer",
    "VocabularySizeError",
    "WordPieceTokenizer",
    "WordTokenizer",
    "load",
]

Tokenizer: TypeAlias = (
    SentencePieceTokenizer
    | CharacterTokenizer
    | PieceTokenizer
    | MarianTokenizer
    | T5Tokenizer
    | WordTokenizer
    | WordPieceTokenizer
)


def load(folder: StrPath) -> Tokenizer:
    """Reads the tokenizer that `save` wrote into `folder`.

    Raises:
        ValueError: `folder` holds no tokenizer, or a damaged one.
    """
    folder = Path(folder)
    try:
        config = read_json(folder / CONFIG_FILE)
        if config["kind"] == "characters":
            return CharacterTokenizer(config["unit"], config["characters"])
        if config["kind"] == "sentencepiece":
            tokenizer = SentencePieceTokenizer((folder / MODEL_FILE).read_bytes())
            if tokenizer.vocabulary_size == config["vocabulary_size"]:
                return tokenizer
            raise ValueError(f"{MODEL_FILE} has {tokenizer.vocabulary_size} pieces")
        options = {name: value for name, value in config.items() if name != "kind"}
        for looked_up in (PieceTokenizer, MarianTokenizer, T5Tokenizer):
            if config["kind"] == looked_up.kind:
                return looked_up((folder / MODEL_FILE).read_bytes(), **options)
        for plain in (WordTokenizer, WordPieceTokenizer):
            if config["kind"] == plain.kind:
                return plain(**options)
        raise ValueError(f"kind {config['kind']!r} is not known")
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise ValueError(
            f"`folder` must hold a tokenizer. Received: {folder}, which has no {missing}."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"`folder` must hold a tokenizer. Received: {folder}: {error}") from error
