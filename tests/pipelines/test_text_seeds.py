"""Seeds of texts: equal texts have seeds of their own, whatever the batches."""

import numpy as np
import pytest

from keras_transformer.decoding import BeamSearch, Sampling
from keras_transformer.pipelines.text_seeds import TextSeeds, seed_words


def test_of_equal_texts_the_second_has_the_next_seed():
    texts, seeds = ["a", "b", b"a", "a", "b"], TextSeeds(Sampling(5, seed=7))
    assert seeds(texts) == [7, 7, 8, 9, 8]
    assert seeds(["a", "c"]) == [10, 7]  # goes on
    parts = TextSeeds(Sampling(5, seed=7))
    assert parts(texts[:2]) + parts(texts[2:]) == [7, 7, 8, 9, 8]


def test_without_a_seed_they_begin_anywhere_and_without_draws_there_are_none():
    assert len({TextSeeds(Sampling(5, seed=None))(["a"])[0] for _ in range(5)}) > 1
    assert TextSeeds(BeamSearch(5))(["a"]) is None


def test_seeds_become_words_of_32_bits():
    words = seed_words([0, 2**40, np.int64(3)], Sampling(5), 3)
    assert words[0] == 0 and words[2] == 3 and all(-(2**31) <= word < 2**31 for word in words)


@pytest.mark.parametrize("seeds", [[1], [1, 2, 3], [1, -1], [1, 0.5], [1, None], [1, True], "12"], ids=str)
def test_what_is_no_seed_for_each_text_is_refused(seeds):
    with pytest.raises(ValueError, match=r"There must be a seed >= 0 for each of 2 texts. Received: \["):
        seed_words(seeds, Sampling(5), 2)
    with pytest.raises(ValueError, match="`seeds` are for a search that draws. Received: BeamSearch"):
        seed_words([1, 2], BeamSearch(5), 2)
