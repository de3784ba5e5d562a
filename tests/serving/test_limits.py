"""The limits of an exported model: what is cut, what is refused and by which sentence."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer import tokenizers
from keras_transformer.pipelines import guards
from keras_transformer.pipelines import translator_signatures as signatures
from keras_transformer.special_ids import END_ID
from serving.limits import Limits

from .conftest import MAX_LENGTH, QUESTIONS, ask

TIGHT = Limits(max_rows=3, max_characters=5, max_target_tokens=4, max_image_bytes=2000, max_image_pixels=100)


def graph(function, *arguments):
    """A guard in a graph, as in an export: it must not need eager execution."""
    spec = [tf.TensorSpec([None], tf.string)]
    return tf.function(lambda batch: function(batch, *arguments), input_signature=spec, autograph=False)


def cut(function, texts):
    return [text.decode("utf-8") for text in graph(function, TIGHT)(tf.constant(texts)).numpy()]


# Signatures that refuse as `translate` does: in the search that they share.
SEARCHED = ["translate_nbest", "align", "tokens"]


@pytest.mark.parametrize(
    "name",
    ["translate", "score", *(pytest.param(name, marks=pytest.mark.slow) for name in SEARCHED)],
)
def test_a_request_with_too_many_rows_is_refused_and_one_with_as_many_is_not(translator, name):
    function = signatures.functions(translator, limits=TIGHT)[name]

    def inputs(rows):
        ids = {"source_ids": [[5, END_ID]] * rows}
        return ids if name == "tokens" else {spec.name: ["1"] * rows for spec in function.input_signature}

    assert len(next(iter(ask(function, inputs(3)).values()))) == 3
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 3 rows\. Received:\] \[4\]"):
        ask(function, inputs(4))


def test_a_text_is_cut_between_characters():
    texts = ["abcdefg", "äöüßéàè", "日本語日本語", "\U0001f642" * 9]
    assert cut(guards.text, texts[:3]) == ["abcde", "äöüßé", "日本語日本"]
    assert cut(guards.text, texts[3:]) == ["\U0001f642" * 5]
    assert cut(guards.prompt, texts[:3]) == ["cdefg", "üßéàè", "本語日本語"]
    assert cut(guards.prompt, texts[3:]) == ["\U0001f642" * 5]


def test_short_and_empty_texts_are_left_as_they_are():
    for function in (guards.text, guards.prompt):
        assert cut(function, ["", "a", "äöüßé"]) == ["", "a", "äöüßé"]
        assert cut(function, np.array([], object)) == []


@pytest.mark.parametrize("function", [guards.text, guards.prompt])
@pytest.mark.parametrize("broken", [b"\xff\xfe", b"a\x80b", b"\xf0\x9f\x99", b"\xed\xa0\x80", b"\xc3" * 99])
def test_what_is_no_utf_8_becomes_the_replacement_character(function, broken):
    (text,) = cut(function, [broken])
    assert "\N{REPLACEMENT CHARACTER}" in text and len(text) <= 5
    assert set(text) <= {"a", "b", "\N{REPLACEMENT CHARACTER}"}


def test_of_a_long_text_the_model_sees_the_beginning_only(translator):
    function = signatures.functions(translator, limits=TIGHT)["translate"]
    long, short = ask(function, {"text": ["March 5, 2031" * 9, "March"]})["translation"]
    assert long == short


def test_a_text_of_white_space_has_an_empty_translation(translator):
    blanks = [" ", "\n\t", "\u3000\u00a0", "   \r\n "]
    # For a tokenizer that keeps white space as well.
    spaces = tokenizers.CharacterTokenizer("code_points", "0123456789- \n\t\r\u3000\u00a0")
    ids = type(translator).source_ids
    fake = type("Fake", (), {"source_tokenizer": spaces, "max_source_length": 7})
    found = ids(fake, tf.constant([*blanks, "5 5"])).numpy().tolist()
    assert [row[0] == END_ID for row in found] == [True, True, True, True, False]
    function = signatures.functions(translator, Limits())["translate_nbest"]
    answer = ask(function, {"text": [*blanks, "5"]})
    for translations, scores in zip(answer["translations"][:4], answer["scores"][:4], strict=True):
        assert set(translations) == {""} and set(scores) == {0.0}


def test_a_target_with_too_many_tokens_is_refused(translator):
    function = signatures.functions(translator, limits=TIGHT)["score"]
    assert len(ask(function, {"source": ["1"], "target": ["123"]})["log_prob"]) == 1
    message = r"at most 4 tokens, the end token included\. Received:\] \[5\]"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        ask(function, {"source": ["1", "1"], "target": ["1", "1234"]})


def test_a_row_of_ids_beyond_what_the_model_reads_is_refused(functions):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=rf"at most {MAX_LENGTH} ids.*\[{MAX_LENGTH + 1}\]"
    ):
        ask(functions["tokens"], {"source_ids": [[5] * MAX_LENGTH + [END_ID]]})


def test_a_server_that_pads_a_batch_with_its_first_row_changes_no_answer(functions):
    plain = ask(functions["translate_nbest"], {"text": QUESTIONS[:3]})
    padded = ask(functions["translate_nbest"], {"text": QUESTIONS[:3] + QUESTIONS[:1] * 5})
    assert plain["translations"] == padded["translations"][:3]
    np.testing.assert_allclose(plain["scores"], padded["scores"][:3], atol=1e-5)


def png(width, height, body=b""):
    """A PNG file whose header says the size; without a body there are no pixels in it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + body


def bmp(width, height):
    return b"BM" + struct.pack("<IHHIIii", 1000, 0, 0, 54, 40, width, height) + bytes(28)


def jpeg(width, height):
    image = tf.io.encode_jpeg(np.zeros((1, 1, 3), np.uint8)).numpy()
    place = image.index(b"\xff\xc0") + 5
    return image[:place] + struct.pack(">HH", height, width) + image[place + 4 :]


IMAGES = graph(guards.images, TIGHT)


@pytest.mark.parametrize("make", [png, bmp, jpeg])
def test_an_image_whose_header_says_too_many_pixels_is_refused_before_it_is_decoded(make):
    good = make(10, 10)
    assert IMAGES(tf.constant([good, good])).numpy().tolist() == [good] * 2
    for size in ((101, 1), (1, 101), (11, 10), (30_000, 30_000)):
        pixels = f"{size[0] * size[1]:.0f}" if size[0] < 200 else "9"
        message = rf"at most 100 pixels\. Received:\] \[{pixels}"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            IMAGES(tf.constant([good, make(*size)]))


def test_a_bitmap_may_count_its_rows_from_the_top():
    assert IMAGES(tf.constant([bmp(10, -10)])).shape == (1,)
    with pytest.raises(tf.errors.InvalidArgumentError, match="100 pixels"):
        IMAGES(tf.constant([bmp(10, -11)]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="100 pixels"):
        IMAGES(tf.constant([bmp(-1, 1)]))


@pytest.mark.parametrize(
    "other", [b"", b"B", b"hello", b"GIF89a" + bytes(20), b"RIFF0000WEBP" + bytes(20), b"\xff\xd8" + bytes(9)]
)
def test_bytes_that_are_no_jpeg_png_or_bitmap_are_refused(other):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"must be JPEG, PNG or BMP.*image number\] \[1\]"
    ):
        IMAGES(tf.constant([png(1, 1), other]))


def test_an_encoded_image_that_is_too_large_is_refused():
    assert IMAGES(tf.constant([png(1, 1, bytes(1900))])).shape == (1,)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 2000 bytes"):
        IMAGES(tf.constant([png(1, 1, bytes(2000))]))


def test_a_batch_without_images_is_not_refused():
    assert IMAGES(tf.constant(np.array([], object), tf.string)).shape == (0,)


def test_the_header_of_a_real_image_is_read_aright():
    import PIL.Image

    for kind in ("PNG", "BMP", "JPEG"):
        file = io.BytesIO()
        PIL.Image.new("RGB", (9, 12)).save(file, kind)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"100 pixels\. Received:\] \[108"):
            IMAGES(tf.constant([file.getvalue()]))


@pytest.mark.parametrize("name", ["max_rows", "max_characters", "max_image_pixels"])
@pytest.mark.parametrize("value", [0, -1, 2**29])
def test_a_limit_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be from 1 to .*Received: {name}={value}"):
        Limits(**{name: value})
