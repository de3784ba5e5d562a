"""Running text in windows, by hand-made ids; no model."""

import numpy as np
import pytest
import tensorflow as tf

from keras_transformer.special_ids import END_ID, PAD_ID, START_ID
from keras_transformer.tokenizers import CharacterTokenizer, SentencePieceTokenizer
from training import pipeline

IDS = np.arange(10, 33)  # 23 tokens
SIGNATURE = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None), tf.int32)


def batches(ids=IDS, shuffle=True, **options):
    options = {"window": 4, "batch_size": 3, "seed": 7, **options}
    return pipeline.WindowBatches(
        ids,
        shuffle=shuffle,
        make_example=lambda tokens, generator: (tokens[:, :-1], tokens[:, 1:]),
        signature=SIGNATURE,
        **options,
    )


def labels_of(found, number=0):
    return [row for _, labels in found.batches_of_pass(number) for row in labels.tolist() if any(row)]


def test_in_validation_every_token_is_a_label_once_and_the_first_follows_the_start():
    found = batches(shuffle=False)
    rows = [row for inputs, _ in found.batches_of_pass(0) for row in inputs.tolist()]
    assert rows[0] == [START_ID, 10, 11, 12] and rows[1] == [13, 14, 15, 16]
    assert [label for row in labels_of(found) for label in row if label] == IDS.tolist()
    assert len(found) == len(list(found.dataset())) == 2


def test_in_training_windows_do_not_overlap_and_shift_from_pass_to_pass():
    found = batches()
    assert found.num_windows == 5 and len(found) == 2
    offsets = set()
    for number in range(20):
        rows = sorted(labels_of(found, number))
        flat = [label for row in rows for label in row]
        assert flat == list(range(flat[0], flat[0] + 20))
        offsets.add(flat[0])
    assert offsets == {10, 11, 12, 13}


def test_every_label_follows_its_input_but_for_starts():
    found = batches(np.arange(10, 4010), batch_size=50)
    starts = rows = 0
    for inputs, labels in found.batches_of_pass(0):
        real = labels[:, 0] != PAD_ID
        follows = inputs[real] + 1 == labels[real]
        assert follows[:, 1:].all()
        begins = inputs[real][:, 0] == START_ID
        assert (follows[:, 0] | begins).all()
        starts, rows = starts + begins.sum(), rows + real.sum()
    assert 0.05 < starts / rows < 0.15


def test_passes_differ_and_can_be_entered_anywhere():
    found = batches()
    stream = [labels.numpy().tolist() for _, labels in found.stream().take(6)]
    assert stream[0] != stream[2]
    for start in range(5):
        again = [labels.numpy().tolist() for _, labels in batches().stream(start).take(6 - start)]
        assert again == stream[start:]


def test_rows_are_a_multiple_of_the_micro_batches():
    assert batches(batch_size=3, row_multiple=2).shapes == [pipeline.Shape((4, 4), 2, 16)]


def test_characters_see_line_ends_and_sub_words_an_end_token():
    lines = ["ab", "", "ba"]
    by_character = CharacterTokenizer.train(["ab\n"], unit="code_points")
    ids = pipeline.encode_text(lines, by_character, is_by_character=True)
    assert by_character.detokenize([ids.tolist()]).numpy()[0] == b"ab\n\nba\n"
    text = [f"{word} ab ba" for word in ("abab", "baab", "bb", "aa", "abba") * 20]
    by_piece = SentencePieceTokenizer.train(text, vocabulary_size=270)
    ids = pipeline.encode_text(lines, by_piece, is_by_character=False)
    assert (ids == END_ID).sum() == 3 and ids[-1] == END_ID


@pytest.mark.parametrize(
    ("options", "message"),
    [({"window": 0}, "window=0"), ({"batch_size": 0}, "batch_size=0"), ({"window": 23}, "23 tokens")],
)
def test_sizes_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        batches(**options)
