"""What the configuration of the data stands for."""

from dataclasses import replace

import pytest

from training.run_config import TokenizerConfig
from training.stages import data as data_stage
from training.tasks.translation import (
    AugmentationConfig,
    CorpusConfig,
    DataConfig,
    TokenizersConfig,
    TranslationConfig,
)
from training.tasks.translation.corpora import load_pairs, make_tokenizers


@pytest.fixture
def data(tmp_path):
    """A main corpus of two pairs, validation of one, and a further corpus with other letters."""
    files = {"train": "ab\tcd\nef\tgh\n", "validation": "ab\tgh\n", "more": "xy\tvw\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    paths = {name: [str(tmp_path / name)] for name in files}
    more = CorpusConfig("parallel_text", train=paths["more"], weight=3)
    return DataConfig(
        "parallel_text", train=paths["train"], validation=paths["validation"], also=[more], max_length=8
    )


def pairs_of(data, split):
    return list(load_pairs(data, split).as_numpy_iterator())


def test_training_pairs_come_from_all_corpora_and_others_from_the_main_one(data):
    assert pairs_of(data, "train") == [(b"ab", b"cd"), (b"ef", b"gh"), (b"xy", b"vw")]
    assert pairs_of(data, "validation") == [(b"ab", b"gh")]
    assert load_pairs(data, "test") is None


def test_a_tag_is_in_front_of_the_sources_of_its_corpus(data):
    tagged = replace(data, also=[replace(data.also[0], tag="+")])
    assert pairs_of(tagged, "train") == [(b"ab", b"cd"), (b"ef", b"gh"), (b"+ xy", b"vw")]
    assert pairs_of(tagged, "validation") == [(b"ab", b"gh")]
    both = replace(tagged, tag="-")
    assert pairs_of(both, "train")[::2] == [(b"- ab", b"cd"), (b"+ xy", b"vw")]
    assert pairs_of(both, "validation") == [(b"- ab", b"gh")]


def test_a_tag_must_be_one_piece_of_the_vocabulary(data):
    def prepare(tag, kind="code_points"):
        config = TranslationConfig(
            data=replace(data, also=[replace(data.also[0], tag=tag)]),
            tokenizer=TokenizersConfig(TokenizerConfig(kind)),
        )
        return data_stage.prepare(config)

    prepare("+")
    for tag, pieces in (("<b>", "< b >"), ("a b", "a .* b")):
        rule = r"`data.also\[0\].tag` must be a word that is one piece of the source's vocabulary"
        with pytest.raises(ValueError, match=f"{rule}. Received: '{tag}', which is {pieces}"):
            prepare(tag)


def test_sub_words_that_are_trained_have_the_tags(data):
    tagged = replace(data, also=[replace(data.also[0], tag="<BT>")], tag="<2en>", max_length=16)
    config = TranslationConfig(data=tagged, tokenizer=TokenizersConfig(TokenizerConfig("bpe", 1000)))
    tokenizer = data_stage.prepare(config).task.tokenizers["source"]
    for tag in ("<BT>", "<2en>"):
        assert tokenizer.id_to_piece(tokenizer.tokenize([tag])).to_list() == [
            ["\u2581".encode(), tag.encode()]
        ]


def test_the_tokenizers_know_the_characters_of_all_corpora(data):
    config = TokenizersConfig(TokenizerConfig("code_points"))
    source, target = make_tokenizers(config, load_pairs(data, "train"))
    assert source is target
    assert 1 not in source.tokenize(["abcdefghxyvw"]).to_list()[0]


def test_weights_and_changes_are_for_training_alone(data, capsys):
    augmentation = AugmentationConfig(source_token_dropout=0.1)
    config = TranslationConfig(
        data=data, augmentation=augmentation, tokenizer=TokenizersConfig(TokenizerConfig("bytes"))
    )
    batches = data_stage.prepare(config).batches
    assert batches["train"].weights == [1, 3] and batches["train"].augmentation is not None
    assert batches["validation"].weights == [1] and batches["validation"].augmentation is None
    assert not batches["validation"].shuffle
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(
        "train: 2 + 1 x 3 pairs, 1 batches of 1 shapes, 15 source and 15 target tokens"
    )
    assert lines[1].startswith("validation: 1 pairs, 1 batches")


def test_filters_are_for_training_alone_but_for_the_longest(tmp_path):
    (tmp_path / "pairs").write_text("a\tbcdefg\n" + "a\ta\n" * 2 + "ab\tcd\n" * 2 + "a\tbcdefghi\n")
    files = [str(tmp_path / "pairs")]
    data = DataConfig(
        "parallel_text",
        train=files,
        validation=files,
        max_length=8,
        max_length_ratio=2,
        remove_duplicates=True,
        remove_copies=True,
    )
    config = TranslationConfig(data=data, tokenizer=TokenizersConfig(TokenizerConfig("bytes")))
    batches = data_stage.prepare(config).batches
    dropped = {split: batches[split].encoded.dropped for split in ("train", "validation")}
    assert dropped == {
        "train": {"copies": 2, "duplicates": 1, "too long": 1, "too unequal in length": 1},
        "validation": {"too long": 1},
    }
