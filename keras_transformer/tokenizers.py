"""Sub-word and character tokenizers that run inside the TensorFlow graph.

A tokenizer is a `tf.Module`: it works in eager mode, in a `tf.function`, in `tf.data.Dataset.map`
and in an exported SavedModel, which carries it along. Only training a SentencePiece model needs the
`sentencepiece` package.

All agree on four ids (`keras_transformer.special_ids`): pad 0, unknown 1, start 2, end 3.
`tokenize` adds none of them around the text; `detokenize` reads them.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text
from tensorflow_text.python.ops.sentencepiece_tokenizer import gen_sentencepiece_tokenizer

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID

SPECIAL_PIECES = ("<pad>", "<unk>", "<s>", "</s>")
REPLACEMENT_CHARACTER = "\N{REPLACEMENT CHARACTER}"
CONFIG_FILE = "tokenizer.json"
MODEL_FILE = "sentencepiece.model"
# The trainer drops a sentence above its limit (4192 bytes by default) without a word: we raise the
# limit, and longer sentences are trained on in parts. A character has at most 4 bytes.
MAX_SENTENCE_CHARACTERS = 100_000
# Unigram sums counts thread by thread: another number of threads rounds otherwise and may give
# another model.
TRAINER_THREADS = 4


class SentencePieceTokenizer(tf.Module):
    """Sub-words of a SentencePiece model (BPE or unigram).

    Kudo and Richardson 2018, "SentencePiece: A simple and language independent subword tokenizer
    and detokenizer for Neural Text Processing".

    `detokenize(tokenize(text))` is the text after the model's normalisation, and nothing else is
    lost: a character that has no piece of its own is spelt in byte pieces. A model made by `train`
    normalises as SentencePiece's rule `nmt_nfkc` does:
    - characters take their Unicode NFKC form ("ﬁ" -> "fi", full width -> half width; U+FF5E stays);
    - a space stands for tab, line feed, form feed, carriage return, every Unicode space, zero-width
      (non-joiner and byte order mark among them) and direction marks, U+2581, and U+FFFD (so also
      for invalid UTF-8);
    - other control characters are removed, but for U+0000 and most of U+0080 to U+009F;
    - runs of spaces become one, and those at both ends go;
    - with `lowercase=True` (rule `nmt_nfkc_cf`) case is folded ("Straße" -> "straße").
    A text that these rules leave alone comes back byte for byte.

    Args:
        model: bytes of a SentencePiece model file; ids 0 to 3 must be `<pad>`, `<unk>`, `<s>`,
            `</s>`.
    Raises:
        ValueError: `model` is no such model.
    """

    def __init__(self, model: bytes):
        super().__init__()
        self._model = model
        try:
            self._tokenizer = tensorflow_text.SentencepieceTokenizer(model=model)
            self._tokenizer._model_resource = _LastingModel(model)
            self._vocabulary_size = int(self._tokenizer.vocab_size())
            pieces = self._tokenizer.id_to_string(tf.range(min(4, self._vocabulary_size)))
        except tf.errors.OpError as error:
            raise ValueError(
                "`model` must be the bytes of a SentencePiece model. "
                f"Received: {type(model).__name__} of length {len(model)}."
            ) from error
        received = tuple(piece.decode("utf-8", "replace") for piece in pieces.numpy())
        if received != SPECIAL_PIECES:
            raise ValueError(
                f"The SentencePiece model must have {', '.join(SPECIAL_PIECES)} as ids 0 to 3. "
                f"Received: {', '.join(received) or 'an empty model'}."
            )

    @classmethod
    def train(
        cls,
        sentences: Iterable[str],
        vocabulary_size: int,
        model_type: str = "bpe",
        lowercase: bool = False,
        character_coverage: float = 1.0,
    ) -> "SentencePieceTokenizer":
        """Trains a model on `sentences`; the same sentences give the same model.

        Args:
            sentences: texts of any length; empty ones teach nothing.
            vocabulary_size: number of pieces: 4 special, 256 bytes, the space sign U+2581, each
                character kept, and the sub-words.
            model_type: "bpe" or "unigram".
            lowercase: True folds case, in training and in `tokenize`.
            character_coverage: share of the text's characters that get a piece of their own,
                0 < c <= 1; the rest is spelt in bytes. 0.9995 suits languages of several thousand
                characters.
        Raises:
            ValueError: an argument is not as said above, no sentence has text, or the sentences
                allow only a larger or smaller vocabulary (the message names the bound).
        """
        import sentencepiece  # Training only: tokenizing needs no more than tensorflow-text.

        if not isinstance(vocabulary_size, int) or vocabulary_size < 1:
            raise ValueError(
                "`vocabulary_size` must be a positive integer. "
                f"Received: vocabulary_size={vocabulary_size!r}."
            )
        if model_type not in ("bpe", "unigram"):
            raise ValueError(f'`model_type` must be "bpe" or "unigram". Received: model_type={model_type!r}.')
        if not 0 < character_coverage <= 1:
            raise ValueError(
                "`character_coverage` must be above 0 and at most 1. "
                f"Received: character_coverage={character_coverage}."
            )
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=_trainable(sentences),
                model_writer=model,
                vocab_size=vocabulary_size,
                model_type=model_type,
                normalization_rule_name="nmt_nfkc_cf" if lowercase else "nmt_nfkc",
                character_coverage=character_coverage,
                byte_fallback=True,
                pad_id=PAD_ID,
                unk_id=UNKNOWN_ID,
                bos_id=START_ID,
                eos_id=END_ID,
                max_sentence_length=4 * MAX_SENTENCE_CHARACTERS,
                num_threads=TRAINER_THREADS,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise ValueError(_training_error(str(error), vocabulary_size)) from error
        return cls(model.getvalue())

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ids included."""
        return self._vocabulary_size

    def tokenize(self, text) -> tf.RaggedTensor:
        """Text (B,), strings -> ids (B, None), int32. Invalid UTF-8 is read as U+FFFD."""
        return self._tokenizer.tokenize(_valid_text(text))

    def detokenize(self, ids) -> tf.Tensor:
        """Ids (B, T), dense or ragged -> text (B,), valid UTF-8.

        What follows the first end id is dropped, and so are pad and start. The unknown id reads
        " ⁇ "; byte pieces that are no UTF-8 read U+FFFD.

        Raises:
            ValueError: an id outside the vocabulary, in eager mode; in a graph it reads as unknown.
        """
        return self._tokenizer.detokenize(_content(_known(ids, self.vocabulary_size)))

    def id_to_piece(self, ids) -> tf.Tensor:
        """Ids of any shape -> their pieces, strings of the same shape.

        The first piece of a word begins with U+2581; a byte reads like `<0xE3>`.
        """
        return self._tokenizer.id_to_string(_known(ids, self.vocabulary_size))

    def save(self, folder) -> None:
        """Writes `tokenizer.json` and `sentencepiece.model` into `folder`; makes it if missing."""
        _write_config(folder, kind="sentencepiece", vocabulary_size=self.vocabulary_size)
        (Path(folder) / MODEL_FILE).write_bytes(self._model)


class _LastingModel(tf.saved_model.experimental.TrackableResource):
    """A SentencePiece model that `set_random_seed` and `clear_session` leave alone.

    The model of tensorflow-text's own class belongs to a cached kernel and goes with it whenever
    Keras or TensorFlow clears the kernel cache: "Resource ... does not exist" (tensorflow/text#570).
    A model with a name belongs to the process. Equal models share one.
    """

    def __init__(self, model: bytes):
        super().__init__()
        self._model = model
        _ = self.resource_handle  # Reading it creates the resource.

    def _create_resource(self):
        name = "sentencepiece_" + hashlib.sha256(self._model).hexdigest()
        return gen_sentencepiece_tokenizer.sentencepiece_op(model=self._model, shared_name=name)


class CharacterTokenizer(tf.Module):
    """One id for each character: a Unicode code point or a byte of UTF-8.

    `detokenize(tokenize(text))` equals `text`, in bytes for any valid UTF-8, in code points for any
    text made of `characters`: another one becomes the unknown id, which reads U+FFFD. Nothing is
    normalised.

    Args:
        unit: "code_points", or "bytes" (ids 4 to 259; there is no unknown byte).
        characters: those that have an id, from 4 in this order; for code points only.
    Raises:
        ValueError: another unit; characters for bytes; for code points no character, one twice, or
            one that is not a single character.
    """

    def __init__(self, unit: str = "code_points", characters: Sequence[str] = ()):
        super().__init__()
        _check_characters(unit, characters)
        self.unit = unit
        # One string, not a list: tf.Module would wrap a list and track each entry.
        self._characters = "".join(characters)
        if unit == "bytes":
            pieces = [chr(b) if 0x20 < b < 0x7F else f"<0x{b:02X}>" for b in range(256)]
        else:
            pieces = list(self._characters)
        self._pieces = np.array([*SPECIAL_PIECES, *pieces], dtype=object)
        self._codes = np.array([ord(c) for c in self._characters], dtype=np.int32)
        self._order = np.argsort(self._codes).astype(np.int32)

    @classmethod
    def train(cls, sentences: Iterable[str], unit: str = "code_points") -> "CharacterTokenizer":
        """Takes the characters seen in `sentences`, sorted; bytes look at no sentence.

        Raises:
            ValueError: another unit, or no sentence has text.
        """
        if unit != "code_points":
            return cls(unit)
        return cls(unit, sorted(set().union(*_trainable(sentences))))

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ids included."""
        return len(self._pieces)

    def tokenize(self, text) -> tf.RaggedTensor:
        """Text (B,), strings -> ids (B, None), int32. Invalid UTF-8 is read as U+FFFD."""
        text = _valid_text(text)
        if self.unit == "bytes":
            # One string for the whole batch: one op in place of one string for each byte.
            values = tf.cast(tf.io.decode_raw(tf.strings.reduce_join(text), tf.uint8), tf.int32)
            lengths = tf.strings.length(text)
            return tf.RaggedTensor.from_row_lengths(values + len(SPECIAL_PIECES), lengths)

        codes = tf.strings.unicode_decode(text, "UTF-8")
        # Binary search: a lookup table would be one more resource for each exporter to track.
        place = tf.searchsorted(self._codes[self._order], codes.flat_values)
        place = tf.minimum(place, len(self._codes) - 1)
        index = tf.gather(self._order, place)
        is_known = tf.gather(self._codes, index) == codes.flat_values
        return codes.with_flat_values(tf.where(is_known, index + len(SPECIAL_PIECES), UNKNOWN_ID))

    def detokenize(self, ids) -> tf.Tensor:
        """Ids (B, T), dense or ragged -> text (B,), valid UTF-8.

        What follows the first end id is dropped, and so are pad and start. The unknown id, and
        bytes that are no UTF-8, read U+FFFD.

        Raises:
            ValueError: an id outside the vocabulary, in eager mode; in a graph it reads as unknown.
        """
        if self.unit == "bytes":
            units = [bytes([b]) for b in range(256)]
        else:
            units = [c.encode() for c in self._characters]
        units = tf.constant([REPLACEMENT_CHARACTER.encode()] * len(SPECIAL_PIECES) + units)
        content = _content(_known(ids, self.vocabulary_size))
        return _valid_text(tf.strings.reduce_join(tf.gather(units, content), axis=-1))

    def id_to_piece(self, ids) -> tf.Tensor:
        """Ids of any shape -> their characters, strings of the same shape.

        A byte that is no visible ASCII character reads like `<0xE3>`.
        """
        return tf.gather(tf.constant(self._pieces), _known(ids, self.vocabulary_size))

    def save(self, folder) -> None:
        """Writes `tokenizer.json` into `folder`; makes it if missing."""
        _write_config(folder, kind="characters", unit=self.unit, characters=list(self._characters))


def load(folder) -> SentencePieceTokenizer | CharacterTokenizer:
    """Reads the tokenizer that `save` wrote into `folder`.

    Raises:
        ValueError: `folder` holds no tokenizer, or a damaged one.
    """
    folder = Path(folder)
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        if config["kind"] == "characters":
            return CharacterTokenizer(config["unit"], config["characters"])
        if config["kind"] == "sentencepiece":
            tokenizer = SentencePieceTokenizer((folder / MODEL_FILE).read_bytes())
            if tokenizer.vocabulary_size == config["vocabulary_size"]:
                return tokenizer
            raise ValueError(f"{MODEL_FILE} has {tokenizer.vocabulary_size} pieces")
        raise ValueError(f"kind {config['kind']!r} is not known")
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise ValueError(
            f"`folder` must hold a tokenizer. Received: {folder}, which has no {missing}."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"`folder` must hold a tokenizer. Received: {folder}: {error}") from error


def _valid_text(text) -> tf.Tensor:
    """Strings (B,), each invalid UTF-8 sequence replaced by U+FFFD."""
    text = tf.convert_to_tensor(text, tf.string)
    if text.shape.rank not in (None, 1):
        raise ValueError(f"`text` must be a batch of strings, (B,). Received: shape {text.shape}.")
    return tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace")


def _known(ids, vocabulary_size: int) -> tf.Tensor | tf.RaggedTensor:
    """Ids as int32; one outside the vocabulary raises in eager mode, is unknown in a graph."""
    if isinstance(ids, tf.RaggedTensor):
        return ids.with_flat_values(_known(ids.flat_values, vocabulary_size))
    ids = tf.cast(tf.convert_to_tensor(ids), tf.int32)
    is_known = (ids >= 0) & (ids < vocabulary_size)
    if tf.executing_eagerly() and not tf.reduce_all(is_known):
        wrong = int(tf.boolean_mask(ids, ~is_known)[0])
        raise ValueError(f"`ids` must be from 0 to {vocabulary_size - 1}. Received: {wrong}.")
    return tf.where(is_known, ids, UNKNOWN_ID)


def _content(ids: tf.Tensor | tf.RaggedTensor) -> tf.RaggedTensor:
    """Ids (B, T) up to the first end id, without pad, start and end: (B, None)."""
    if isinstance(ids, tf.RaggedTensor):
        ids = ids.to_tensor(PAD_ID)
    if ids.shape.rank not in (None, 2):
        raise ValueError(f"`ids` must be a batch of rows, (B, T). Received: shape {ids.shape}.")
    has_ended = tf.cumsum(tf.cast(ids == END_ID, tf.int32), axis=1) > 0
    return tf.ragged.boolean_mask(ids, ~has_ended & (ids != PAD_ID) & (ids != START_ID))


def _trainable(sentences: Iterable[str]) -> Iterator[str]:
    """Passes on the sentences that have text, the very long ones in parts; raises if none has."""
    if isinstance(sentences, str):
        raise ValueError("`sentences` must be several strings. Received: one string.")
    is_empty = True
    for sentence in sentences:
        if not isinstance(sentence, str):
            raise ValueError(f"`sentences` must be strings. Received: {sentence!r}.")
        sentence.encode()  # A lone surrogate raises a ValueError here, not a riddle in the trainer.
        if sentence and not sentence.isspace():
            is_empty = False
            for start in range(0, len(sentence), MAX_SENTENCE_CHARACTERS):
                yield sentence[start : start + MAX_SENTENCE_CHARACTERS]
    if is_empty:
        raise ValueError("`sentences` must hold at least one that is not empty. Received: none.")


def _training_error(message: str, vocabulary_size: int) -> str:
    """One line for the trainer's message."""
    received = f"Received: vocabulary_size={vocabulary_size}."
    if bound := re.search(r"too high .* <= (\d+)", message):
        return f"`vocabulary_size` must be at most {bound[1]} for these sentences. {received}"
    if bound := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        return (
            f"`vocabulary_size` must be at least {bound[1]} for these sentences (4 special pieces, "
            "256 bytes, their characters and the space sign; a smaller `character_coverage` needs "
            f"fewer). {received}"
        )
    return f"SentencePiece could not train on these sentences: {' '.join(message.split())} {received}"


def _check_characters(unit: str, characters: Sequence[str]) -> None:
    if unit not in ("code_points", "bytes"):
        raise ValueError(f'`unit` must be "code_points" or "bytes". Received: unit={unit!r}.')
    if unit == "bytes" and characters:
        raise ValueError('`characters` must be empty for unit="bytes". Received: some.')
    if unit == "code_points" and not characters:
        raise ValueError("`characters` must hold at least one character. Received: none.")
    seen = set()
    for character in characters:
        is_one = isinstance(character, str) and len(character) == 1
        if not is_one or "\ud800" <= character <= "\udfff" or character in seen:
            raise ValueError(f"`characters` must be single characters, each once. Received: {character!r}.")
        seen.add(character)


def _write_config(folder, **config) -> None:
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, ensure_ascii=False, indent=2)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
