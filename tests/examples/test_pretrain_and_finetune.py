"""examples.pretrain_and_finetune: its corpora and ids; that pre-training helps (slow)."""

import numpy as np
import pytest

from examples import pretrain_and_finetune
from examples.pretrain_and_finetune import ANIMALS, MAX_WORDS, NUM_TEST, SEEDS, TOLD, UNTOLD
from keras_transformer.special_ids import PAD_ID, START_ID, UNKNOWN_ID


def labelled_sets(corpus):
    return [*corpus.labelled, corpus.test]


def test_labels_say_whether_the_first_noun_is_an_animal_and_the_sentence_does_not():
    corpus = pretrain_and_finetune.generated()
    for sentences, labels in labelled_sets(corpus):
        assert [words[1] in ANIMALS for words in sentences] == labels.astype(bool).tolist()
        assert {" ".join(words[5:]) for words in sentences} <= set(UNTOLD)
        assert labels.sum() == len(sentences) // 2


def test_half_of_the_unlabelled_sentences_tell_what_the_first_noun_does():
    told = [words for words in pretrain_and_finetune.generated(4_000).unlabelled if len(words) == 6]
    assert len(told) == 4_000
    assert all(words[5] in TOLD[words[1] in ANIMALS] for words in told)


def test_no_sentence_is_taken_twice():
    pairs = [([f"{index}"], index % 3 == 0) for index in range(5_000)]
    corpus = pretrain_and_finetune.split(pairs, num_labelled=10, more=[["more"]])
    sentences = [*corpus.unlabelled, *(words for part in labelled_sets(corpus) for words in part[0])]
    assert sorted(words[0] for words in sentences) == sorted(
        [*(f"{index}" for index in range(5_000)), "more"]
    )
    assert [len(labels) for _, labels in labelled_sets(corpus)] == [10] * len(SEEDS) + [NUM_TEST]


def test_questions_are_told_from_other_sentences_and_lose_their_mark():
    lines = ["ROMEO:", "But soft, what light through yonder window", "breaks? It is the east, and Juliet", ""]
    lines += ["is the sun.", "", "JULIET:", "Ay me!", "word " * (MAX_WORDS + 1) + "."]
    assert pretrain_and_finetune.questions(lines) == [
        ("but soft what light through yonder window breaks".split(), 1),
        ("it is the east and juliet is the sun".split(), 0),
    ]


def test_ids_begin_with_the_start_token_and_leave_room_for_the_mask():
    words = pretrain_and_finetune.Words([["b", "a", "b"], ["c", "b", "a"]], limit=2)
    assert words.vocabulary_size == 4 + 2 + 1
    np.testing.assert_array_equal(
        words.padded([["a", "b"], ["b", "c", "a", "cut"]]),
        [[START_ID, 5, 4, PAD_ID], [START_ID, 4, UNKNOWN_ID, 5]],
    )


def test_a_folder_without_the_text_ends_in_one_line(tmp_path):
    with pytest.raises(SystemExit, match="^error: Tiny Shakespeare is one of "):
        pretrain_and_finetune.main(["--data_dir", str(tmp_path)])


@pytest.mark.slow
def test_the_pre_trained_encoder_knows_nouns_that_no_label_names(capsys):
    corpus = pretrain_and_finetune.generated()
    accuracies = pretrain_and_finetune.compare(corpus, epochs=8, fine_tuning_epochs=30)
    assert min(accuracies["pre-trained"]) > max(accuracies["from scratch"])
    assert np.mean(accuracies["pre-trained"]) > np.mean(accuracies["from scratch"]) + 0.1
    assert "always the most frequent word" in capsys.readouterr().out
