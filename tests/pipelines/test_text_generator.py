"""Prompts to texts: what a text begins with, batches, cuts, what lies beyond the window, run folders."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml

from keras_transformer import decoding, models, tokenizers
from keras_transformer.pipelines.text_generator import TextGenerator

WINDOW = 11
TEXTS = ["to", "", "be, or", "not", "o"]
SEARCHES = {
    "beam": decoding.BeamSearch(WINDOW, width=3, n_best=2),
    "draws": decoding.Sampling(WINDOW, temperature=0.7, seed=5, num_samples=2),
}


def drawn(scale):
    """A model with weights as drawn, times `scale`, and its tokenizer."""
    keras.utils.set_random_seed(3)
    tokenizer = tokenizers.CharacterTokenizer.train(["to be, or not"])
    sizes = {"num_layers": 1, "hidden_dim": 6, "num_heads": 2, "intermediate_dim": 7}
    model = models.CausalLM(tokenizer.vocabulary_size, **sizes)
    model.build()
    model.set_weights([scale * weight for weight in model.get_weights()])
    return model, tokenizer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What `training.train` leaves, as far as it is read here."""
    folder = tmp_path_factory.mktemp("runs")
    model, tokenizer = drawn(scale=3)
    tokenizer.save(folder / "tokenizer" / "text")
    model.save(folder / "model.keras")
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"window": WINDOW}}))
    return folder


@pytest.fixture(scope="module", params=SEARCHES)
def generator(run, request):
    return TextGenerator.from_run(run, SEARCHES[request.param])


@pytest.fixture(scope="module")
def found(generator):
    return generator.generate(TEXTS)


def test_every_text_begins_with_its_prompt(found):
    for prompt, texts in zip(TEXTS, found, strict=True):
        assert len(texts) == 2
        for text, score in texts:
            assert text.startswith(prompt) and len(text) <= WINDOW
            assert -np.inf < score < 0
    assert len({texts[0][0] for texts in found}) == len(TEXTS)


def test_all_ways_to_ask_give_the_same_texts(generator, found):
    texts, scores = generator.n_best(tf.constant(TEXTS))
    assert texts.dtype == tf.string and scores.dtype == tf.float32
    assert [[text.decode() for text in row] for row in texts.numpy()] == [[t for t, _ in x] for x in found]
    np.testing.assert_allclose(scores, [[score for _, score in x] for x in found], atol=1e-5)
    np.testing.assert_array_equal(generator(tf.constant(TEXTS)), texts[:, 0])
    assert generator.generate([text.encode() for text in TEXTS]) == found


def test_neighbours_in_the_batch_change_nothing(generator, found):
    for prompt, expected in zip(TEXTS, found, strict=True):
        (alone,) = generator.generate([prompt])
        assert [text for text, _ in alone] == [text for text, _ in expected]
        np.testing.assert_allclose([x for _, x in alone], [x for _, x in expected], atol=1e-4)


def test_what_follows_a_long_prompt_follows_from_its_end(generator):
    end = "be, or not"
    assert len(end) == WINDOW - 1
    long, short = generator.generate(["to be, or not to " + end, end])
    assert long == short and len(long[0][0]) >= len(end)


def test_characters_that_were_never_seen_are_read_as_one(generator):
    broken, unknown, accented = generator.generate([b"to\xff", "to\ufffd", "to\u00e9"])
    assert broken == unknown == accented
    assert broken[0][0].startswith("to\ufffd")


def test_one_string_is_one_text_and_nothing_else_is(generator, found):
    assert generator.generate(TEXTS[0]) == found[0]
    with pytest.raises(ValueError, match="`texts` must be a list of strings. Received: NoneType"):
        generator.generate(None)
    assert repr(generator).startswith("TextGenerator(CausalLM, ") and "12 pieces" in repr(generator)


def test_four_equal_prompts_give_four_texts():
    generator = TextGenerator(*drawn(scale=0), decoding.Sampling(WINDOW, min_length=WINDOW))
    texts = {text for ((text, _),) in generator.generate(["to"] * 4)}
    assert len(texts) == 4
    in_a_graph = generator(tf.constant(["to"] * 4)).numpy()
    assert len(set(in_a_graph)) == 4 and in_a_graph[0].decode() in texts
    assert generator.generate(["to"] * 2, seeds=[0, 3])[0] == generator.generate("to")
    assert generator.generate("to", seeds=[3])[0][0] in texts


# Beyond the window


def test_within_the_window_a_text_is_continued_as_it_is_generated(run):
    generator = TextGenerator.from_run(run, lambda length: decoding.Greedy(length, min_length=length))
    for prompt in ("to", "", "be, o"):
        ((whole, _),) = generator.generate([prompt])[0]
        assert generator.continued(prompt, WINDOW) == whole
        assert generator.continued(prompt, 7) == whole[:7] != whole


def test_a_text_is_continued_from_its_last_half_window(run):
    generator = TextGenerator.from_run(run, decoding.Greedy)
    half = "not o"
    assert len(half) == WINDOW // 2
    tail = generator.continued(half, WINDOW)
    assert generator.continued("to be, or " + half, 10 + WINDOW) == "to be, or " + tail
    assert generator.continued("to be, or not", 3) == "to be, or not"


def test_a_continued_text_has_the_length_that_was_asked_for_and_draws_of_its_own_in_each_part():
    # Without weights all tokens are equally likely: what comes depends on the draws alone. The last of a part
    # may be the end token, which counts; with this seed none is.
    generator = TextGenerator(*drawn(scale=0), decoding.Sampling(WINDOW, min_length=WINDOW, seed=1))
    half, part = WINDOW // 2, WINDOW - WINDOW // 2
    text = generator.continued("not o", half + 2 * part)
    assert text.startswith("not o") and len(text) == half + 2 * part
    assert text[half : half + part] != text[half + part :]


# What is refused


def test_a_tokenizer_with_other_ids_is_refused():
    model, _ = drawn(scale=3)
    other = tokenizers.CharacterTokenizer.train(["ab"])
    with pytest.raises(ValueError, match="the model's 12 ids. Received: a tokenizer with 6"):
        TextGenerator(model, other, decoding.Greedy(WINDOW))


def test_a_search_is_made_for_the_window_and_not_longer(run):
    assert TextGenerator.from_run(run).search == decoding.Sampling(WINDOW)
    assert TextGenerator.from_run(run, decoding.Greedy(7)).search.max_length == 7
    with pytest.raises(ValueError, match="window of the training, 11 tokens. Received: max_length=12"):
        TextGenerator.from_run(run, decoding.Greedy(WINDOW + 1))


@pytest.mark.parametrize("part", ["config.yaml", "tokenizer/text", "model.keras"])
def test_a_folder_without_a_part_is_refused(run, tmp_path, part):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (shutil.rmtree if (folder / part).is_dir() else type(folder).unlink)(folder / part)
    with pytest.raises(ValueError, match=f"holds .* Received: {folder}, with(out {part}| neither)"):
        TextGenerator.from_run(folder)
