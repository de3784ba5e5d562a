"""Images to captions: files and pixels, batches, where was looked, run folders."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from keras_transformer import decoding, models, tokenizers
from keras_transformer.pipelines.captioner import Captioner

SHAPE = (9, 7, 1)
MAX_LENGTH, N_BEST = 6, 2
IMAGES = np.random.default_rng(0).integers(256, size=(5, *SHAPE)).astype(np.uint8)


def drawn(decoder):
    """A model with weights as drawn, but larger, and its tokenizer: other captions of other images."""
    keras.utils.set_random_seed(3)
    tokenizer = tokenizers.CharacterTokenizer.train(["a seven at the top"])
    sizes = {"num_layers": 1, "hidden_dim": 8, "filters": (3, 5), "channels": 1}
    model = models.ImageCaptioner(tokenizer.vocabulary_size, decoder, **sizes)
    model({"image": IMAGES, "target_ids": np.ones((len(IMAGES), 2), "int32")})
    model.set_weights([3 * weight for weight in model.get_weights()])
    return model, tokenizer


@pytest.fixture(scope="module", params=["gru", pytest.param("transformer", marks=pytest.mark.slow)])
def run(request, tmp_path_factory):
    """What `training.train` leaves, as far as it is read here."""
    folder = tmp_path_factory.mktemp(request.param)
    model, tokenizer = drawn(request.param)
    tokenizer.save(folder / "tokenizer" / "caption")
    model.save(folder / "model.keras")
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"max_length": MAX_LENGTH}}))
    (folder / "images.json").write_text(json.dumps({"image_shape": SHAPE}))
    return folder


@pytest.fixture(scope="module")
def captioner(run):
    return Captioner.from_run(run, decoding.BeamSearch(MAX_LENGTH, width=3, n_best=N_BEST))


@pytest.fixture(scope="module")
def captions(captioner):
    return captioner.caption(IMAGES)


def test_what_measures_translations_asks_for_captions_by_its_own_name():
    assert Captioner.translate is Captioner.caption


def test_files_and_pixels_have_the_same_captions(captioner, captions):
    encoded = tf.constant([tf.io.encode_png(image).numpy() for image in IMAGES])
    texts, scores = captioner.n_best(encoded)
    assert texts.shape == scores.shape == (len(IMAGES), N_BEST)
    assert texts.dtype == tf.string and scores.dtype == tf.float32
    assert [text.decode() for text in texts[:, 0].numpy()] == captions
    np.testing.assert_array_equal(captioner(encoded), texts[:, 0])
    assert all(len(set(row)) == N_BEST for row in texts.numpy())
    assert len(set(captions)) > 1


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_neighbours_in_the_batch_change_nothing(captioner, captions, batch_size):
    assert captioner.caption(IMAGES, batch_size) == captions


@pytest.mark.parametrize(
    "images",
    ["picture.png", b"\x89PNG", IMAGES[0], IMAGES[:, :3], IMAGES.astype(str), None],
    ids=["name", "bytes", "one", "small", "texts", "none"],
)
def test_what_are_no_images_is_refused(captioner, images):
    for ask in (captioner.translate, captioner.look):
        with pytest.raises(ValueError, match=r"`images` must be pixels, \(N, 9, 7, 1\). Received: "):
            ask(images)


def test_a_captioner_says_what_it_is(captioner, run):
    text = repr(captioner)
    assert text.startswith("Captioner(ImageCaptioner, ") and "BeamSearch(max_length=6" in text
    assert f"images {SHAPE}" in text and text.endswith(f"run_folder={str(run)!r})")


def test_a_batch_has_a_size(captioner):
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer. Received: batch_size=-1"):
        captioner.caption([], batch_size=-1)


def test_no_images_have_no_captions(captioner):
    assert captioner.caption(IMAGES[:0]) == []


def test_each_piece_of_a_caption_was_looked_for_somewhere_in_the_grid(captioner, captions):
    grid = captioner.model.grid_shape(*SHAPE[:2])
    for caption, (pieces, weights) in zip(captions, captioner.look(IMAGES), strict=True):
        assert "".join(pieces).removesuffix("</s>") == caption
        assert weights.dtype == np.float32 and weights.shape == (len(pieces), *grid)
        np.testing.assert_allclose(weights.sum(axis=(1, 2)), 1, atol=1e-5)


def test_the_mean_is_that_of_all_heads(captioner):
    num_heads = 1 if captioner.model.decoder_name == "gru" else 4  # the default
    each = [captioner.look(IMAGES, 0, head)[0][1] for head in range(num_heads)]
    assert num_heads == 1 or not np.allclose(each[0], each[-1])
    np.testing.assert_allclose(np.mean(each, axis=0), captioner.look(IMAGES)[0][1], atol=1e-6)


@pytest.mark.parametrize("choice", [{"layer": 9}, {"head": -1}])
def test_a_layer_or_head_that_is_not_there_is_refused(captioner, choice):
    ((name, value),) = choice.items()
    with pytest.raises(ValueError, match=f"`{name}` must be from 0 to .*Received: {name}={value}"):
        captioner.look(IMAGES, **choice)


def test_a_tokenizer_with_other_ids_is_refused(captioner):
    other = tokenizers.CharacterTokenizer.train(["ab"])
    ids = captioner.model.vocabulary_size
    with pytest.raises(ValueError, match=f"the model's {ids} ids. Received: a tokenizer with 6"):
        Captioner(captioner.model, other, captioner.search, SHAPE)


def test_a_search_is_made_for_the_length_of_the_training_data(run):
    assert Captioner.from_run(run).search == decoding.BeamSearch(MAX_LENGTH)
    assert Captioner.from_run(run, decoding.Greedy(3)).search == decoding.Greedy(3)


@pytest.mark.parametrize("part", ["config.yaml", "images.json", "tokenizer/caption", "model.keras"])
def test_a_folder_without_a_part_is_refused(run, tmp_path, part):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (shutil.rmtree if (folder / part).is_dir() else type(folder).unlink)(folder / part)
    with pytest.raises(ValueError, match=f"holds .* Received: {folder}, with(out {part}| neither)"):
        Captioner.from_run(folder)
