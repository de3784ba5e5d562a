"""Sub-words of a SentencePiece model (BPE or unigram) in the TensorFlow graph."""

import functools
import hashlib
import io
import itertools
import re
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

import tensorflow as tf
import tensorflow_text
from tensorflow_text.python.ops.sentencepiece_tokenizer import gen_sentencepiece_tokenizer

from keras_transformer.installation import needs
from keras_transformer.special_ids import END_ID, PAD_ID, START_ID, UNKNOWN_ID
from keras_transformer.tokenizers.sampling import SubwordSampler
from keras_transformer.tokenizers.text import (
    MAX_SENTENCE_CHARACTERS,
    SPECIAL_PIECES,
    byte_values,
    content,
    known,
    trainable,
    valid_text,
    whole_characters,
    write_config,
)
from keras_transformer.types import StrPath, Tensor

MODEL_FILE = "sentencepiece.model"
# Unigram sums counts thread by thread: another number of threads rounds otherwise and may give
# another model.
TRAINER_THREADS = 4


class VocabularySizeError(ValueError):
    """Sentences that allow only a larger or a smaller vocabulary.

    Attributes:
        smallest, largest: the size that they allow; None for the one that was not passed.
    """

    def __init__(self, message: str, smallest: int | None = None, largest: int | None = None):
        super().__init__(message)
        self.smallest = smallest
        self.largest = largest


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
    A text that these rules leave alone comes back byte for byte. Composed and decomposed characters (NFC and
    NFD) have the same ids. Only the order of several marks on one letter is not made canonical: Arabic with
    vowel signs, say, has to be brought to NFC by those who write data and requests.

    Args:
        model: bytes of a SentencePiece model file; ids 0 to 3 must be `<pad>`, `<unk>`, `<s>`,
            `</s>`.
    Raises:
        ValueError: `model` is no such model.
    """

    def __init__(self, model: bytes):
        super().__init__()
        self._model = model
        self._tokenizer = opened(model)
        self._vocabulary_size = int(self._tokenizer.vocab_size())
        pieces = self._tokenizer.id_to_string(tf.range(self._vocabulary_size)).numpy()
        pieces = [piece.decode("utf-8", "replace") for piece in pieces]
        self._byte_values = byte_values(pieces)
        received = tuple(pieces[: len(SPECIAL_PIECES)])
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
        symbols: Iterable[str] = (),
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
            symbols: words that are one piece each, wherever they stand, and that no rule normalises: tags.
                None begins another.

        Raises:
            ValueError: an argument is not as said above, no sentence has text, or the sentences
                allow only a larger or smaller vocabulary (the message names the bound).
        """
        with needs("text"):
            import sentencepiece  # Training only: tokenizing needs no more than TF Text.

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
        symbols = list(dict.fromkeys(symbols))
        are_words = all(isinstance(symbol, str) and [symbol] == symbol.split() for symbol in symbols)
        # In which of two a text then begins, BPE and unigram decide otherwise.
        if not are_words or any(one.startswith(other) for one, other in itertools.permutations(symbols, 2)):
            raise ValueError(
                f"`symbols` must be words, none of which begins another. Received: symbols={symbols!r}."
            )
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=trainable(sentences),
                model_writer=model,
                vocab_size=vocabulary_size,
                model_type=model_type,
                normalization_rule_name="nmt_nfkc_cf" if lowercase else "nmt_nfkc",
                character_coverage=character_coverage,
                byte_fallback=True,
                user_defined_symbols=symbols,
                pad_id=PAD_ID,
                unk_id=UNKNOWN_ID,
                bos_id=START_ID,
                eos_id=END_ID,
                max_sentence_length=4 * MAX_SENTENCE_CHARACTERS,
                num_threads=TRAINER_THREADS,
                minloglevel=2,
            )
        except RuntimeError as error:
            raise _training_error(str(error), vocabulary_size) from error
        return cls(model.getvalue())

    def __repr__(self) -> str:
        return f"SentencePieceTokenizer({self.vocabulary_size:,} pieces)"

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special ids included."""
        return self._vocabulary_size

    def tokenize(self, text: Tensor) -> tf.RaggedTensor:
        """Text (B,), strings -> ids (B, None), int32. Invalid UTF-8 is read as U+FFFD."""
        return self._tokenizer.tokenize(valid_text(text))

    def sampler(self, alpha: float) -> SubwordSampler:
        """What draws other segmentations of texts into the same pieces: see `SubwordSampler`."""
        return SubwordSampler(self._model, alpha)

    def detokenize(self, ids: Tensor) -> tf.Tensor:
        """Ids (B, T), dense or ragged -> text (B,), valid UTF-8.

        What follows the first end id is dropped, and so are pad and start, and the byte pieces at the end of
        a cut text that are no whole character. The unknown id reads " ⁇ "; other byte pieces that are no
        UTF-8 read U+FFFD.

        Raises:
            ValueError: an id outside the vocabulary, in eager mode; in a graph it reads as unknown.
        """
        ids = content(known(ids, self.vocabulary_size))
        return self._tokenizer.detokenize(whole_characters(ids, self._byte_values))

    def id_to_piece(self, ids: Tensor) -> tf.Tensor:
        """Ids of any shape -> their pieces, strings of the same shape.

        The first piece of a word begins with U+2581; a byte reads like `<0xE3>`.
        """
        return self._tokenizer.id_to_string(known(ids, self.vocabulary_size))

    def save(self, folder: StrPath) -> None:
        """Writes `tokenizer.json` and `sentencepiece.model` into `folder`; makes it if missing."""
        write_config(folder, kind="sentencepiece", vocabulary_size=self.vocabulary_size)
        (Path(folder) / MODEL_FILE).write_bytes(self._model)


def opened(model: bytes, out_type: tf.DType = tf.int32) -> tensorflow_text.SentencepieceTokenizer:
    """TF Text's tokenizer of a SentencePiece model.

    Args:
        model: the bytes of the file.
        out_type: int32 for its own ids, string for its pieces.

    Raises:
        ValueError: they are none.
    """
    try:
        tokenizer = tensorflow_text.SentencepieceTokenizer(model=model, out_type=out_type)
        tokenizer._model_resource = _LastingModel.of(model)
        tokenizer.vocab_size()  # the first that reads it
    except tf.errors.OpError as error:
        raise ValueError(
            "`model` must be the bytes of a SentencePiece model. "
            f"Received: {type(model).__name__} of length {len(model)}."
        ) from error
    return tokenizer


class _LastingModel(tf.saved_model.experimental.TrackableResource):
    """A SentencePiece model that `set_random_seed` and `clear_session` leave alone.

    The model of tensorflow-text's own class belongs to a cached kernel and goes with it whenever
    Keras or TensorFlow clears the kernel cache: "Resource ... does not exist" (tensorflow/text#570).
    A model with a name belongs to the process. Equal models share one, and an export holds it once: its graph
    makes the resource in two places, for Python and for servers, by one function.
    """

    _opened: ClassVar[weakref.WeakValueDictionary] = weakref.WeakValueDictionary()

    def __init__(self, model: bytes, digest: str):
        super().__init__()

        def create():
            name = f"sentencepiece_{digest}"
            return gen_sentencepiece_tokenizer.sentencepiece_op(model=model, shared_name=name)

        self._create = create
        self._function = functools.cache(tf.function(create, autograph=False).get_concrete_function)
        _ = self.resource_handle  # Reading it creates the resource.

    @classmethod
    def of(cls, model: bytes) -> "_LastingModel":
        digest = hashlib.sha256(model).hexdigest()
        found = cls._opened.get(digest)
        if found is None:
            found = cls._opened[digest] = cls(model, digest)
        return found

    def _create_resource(self):
        if tf.executing_eagerly():
            return self._create()
        with tf.init_scope():
            function = self._function()
        return function()


def _training_error(message: str, vocabulary_size: int) -> ValueError:
    """What the trainer's message says, in one line."""
    received = f"Received: vocabulary_size={vocabulary_size}."
    if bound := re.search(r"too high .* <= (\d+)", message):
        rule = f"`vocabulary_size` must be at most {bound[1]} for these sentences. {received}"
        return VocabularySizeError(rule, largest=int(bound[1]))
    if bound := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        rule = (
            f"`vocabulary_size` must be at least {bound[1]} for these sentences (4 special pieces, "
            "256 bytes, their characters and the space sign; a smaller `character_coverage` needs "
            f"fewer). {received}"
        )
        return VocabularySizeError(rule, smallest=int(bound[1]))
    said = " ".join(message.split())
    return ValueError(f"SentencePiece could not train on these sentences: {said} {received}")
