"""The limits of an exported model, as operations of its graph: every server keeps them.

What a model cannot take is refused: the request fails with INVALID_ARGUMENT (400 in REST), in a sentence that
names the limit. A text that is too long is cut, as the model cuts what it has no positions for.
`limits` is a `keras_transformer.pipelines.limits.Limits`. Legend: B texts or images, S ids.
"""

from typing import Protocol

from keras_transformer.installation import needs
from keras_transformer.special_ids import END_ID, PAD_ID
from keras_transformer.tokenizers import Tokenizer
from keras_transformer.types import Tensor

with needs("text"):
    import tensorflow as tf

PNG, JPEG, BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"
HEADER_SIZE = 26  # bytes; PNG and BMP say their width and height in them


class Limits(Protocol):
    """How large a request may be: a `serving.limits.Limits`, which says what each number is."""

    max_rows: int
    max_characters: int
    max_target_tokens: int
    max_image_bytes: int
    max_image_pixels: int

    def of(self, *names: str) -> dict[str, int]:
        """Those of these names."""


def rows(tensor: Tensor, limits: Limits) -> Tensor:
    """The tensor (B, ...), if B is not too large."""
    return _checked(tensor, tf.shape(tensor)[0], limits.max_rows, "A request must have at most {} rows")


def text(strings: Tensor, limits: Limits) -> tf.Tensor:
    """Strings (B,) -> valid UTF-8, the first `max_characters` of each."""
    # In bytes first: what comes next is bounded then. A character has at most four, so that one which is
    # cut in two lies beyond those that are kept.
    strings = tf.strings.substr(rows(strings, limits), 0, 4 * limits.max_characters)
    return tf.strings.substr(_valid(strings), 0, limits.max_characters, unit="UTF8_CHAR")


def prompt(strings: Tensor, limits: Limits) -> tf.Tensor:
    """Strings (B,) -> valid UTF-8, the last `max_characters` of each: a text goes on from its end."""
    strings = _end(rows(strings, limits), 4 * limits.max_characters, "BYTE")
    return _end(_valid(strings), limits.max_characters, "UTF8_CHAR")


def target(strings: Tensor, tokenizer: Tokenizer, limits: Limits) -> tf.Tensor:
    """As `text`, if no row has too many tokens of the tokenizer."""
    strings = text(strings, limits)
    rule = "A target must have at most {} tokens, the end token included"
    # The scores of all ids for all tokens are in memory together. A batch of none has no maximum: 0 is added.
    longest = tf.reduce_max(tf.concat([[0], tf.cast(tokenizer.tokenize(strings).row_lengths(), tf.int32)], 0))
    return _checked(strings, longest + 1, limits.max_target_tokens, rule)


def ids(source_ids: Tensor, max_length: int, limits: Limits) -> tf.Tensor:
    """Ids (B, S), if neither B nor S is too large, with padding behind an end token whatever stands there.

    TF Serving pads requests that it joins with the first id of each.
    """
    source_ids = rows(source_ids, limits)
    source_ids = _checked(source_ids, tf.shape(source_ids)[1], max_length, "A row must have at most {} ids")
    is_behind = tf.cumsum(tf.cast(source_ids == END_ID, tf.int32), axis=1, exclusive=True) > 0
    return tf.where(is_behind, PAD_ID, source_ids)


def images(encoded: Tensor, limits: Limits) -> tf.Tensor:
    """Image bytes (B,), if each is a JPEG, PNG or BMP image and not too large.

    Only headers are read here: a small file may unfold to gigabytes. Other formats have animations, and no
    header says how many frames follow.
    """
    encoded = rows(encoded, limits)
    rule = "An encoded image must have at most {} bytes"
    size = tf.reduce_max(tf.concat([[0], tf.strings.length(encoded)], 0))
    encoded = _checked(encoded, size, limits.max_image_bytes, rule)
    header = tf.strings.join([tf.strings.substr(encoded, 0, HEADER_SIZE), tf.constant("\0" * HEADER_SIZE)])
    header = tf.strings.substr(header, 0, HEADER_SIZE)
    is_known = tf.reduce_any([_begins(header, kind) for kind in (PNG, JPEG, BMP)], axis=0)
    number = tf.argmax(tf.cast(tf.concat([~is_known, [True]], 0), tf.int32))
    rule = tf.debugging.Assert(
        tf.reduce_all(is_known),
        ["`image_bytes` must be JPEG, PNG or BMP images. Received: other bytes as image number", number],
    )
    with tf.control_dependencies([rule]):
        pixels = tf.map_fn(_pixels, (encoded, header), fn_output_signature=tf.float64)
    largest = tf.reduce_max(tf.concat([tf.zeros([1], tf.float64), pixels], 0))
    return _checked(encoded, largest, limits.max_image_pixels, "An image must have at most {} pixels")


def _pixels(image):
    """Width times height, by the header; float64: two numbers of 32 bits do not overflow it."""
    encoded, header = image

    def png():
        return _integer(header, 16, -1) * _integer(header, 20, -1)

    def bmp():
        # A negative height counts rows from the top: as unsigned number it is far too large.
        height = _integer(header, 22, 1)
        return _integer(header, 18, 1) * tf.minimum(height, 2**32 - height)

    def jpeg():
        height, width, _ = tf.unstack(tf.io.extract_jpeg_shape(encoded))
        return tf.cast(height, tf.float64) * tf.cast(width, tf.float64)

    return tf.cond(_begins(header, PNG), png, lambda: tf.cond(_begins(header, BMP), bmp, jpeg))


def _integer(header, start, step):
    """Four bytes from `start` on as an unsigned number; `step` 1: the lowest byte first, -1: the highest."""
    digits = tf.cast(tf.io.decode_raw(tf.strings.substr(header, start, 4), tf.uint8), tf.float64)
    return tf.reduce_sum(digits[::step] * tf.constant([1, 2**8, 2**16, 2**24], tf.float64))


def _begins(header, signature):
    return tf.strings.substr(header, 0, len(signature)) == signature


def _valid(strings):
    return tf.strings.unicode_transcode(strings, "UTF-8", "UTF-8", errors="replace")


def _end(strings, size, unit):
    """The last `size` units of each string."""
    start = tf.maximum(tf.strings.length(strings, unit=unit) - size, 0)
    return tf.strings.substr(strings, start, tf.fill(tf.shape(start), size), unit=unit)


def _checked(tensor, value, limit, rule):
    """The tensor, once `value` is known to be at most `limit`."""
    check = tf.debugging.Assert(
        value <= tf.constant(limit, value.dtype), [f"{rule.format(limit)}. Received:", value]
    )
    with tf.control_dependencies([check]):
        return tf.identity(tensor)
