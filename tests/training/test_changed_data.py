"""A training goes on with the data that it began with, or says that it is other data."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import yaml

from keras_transformer.tokenizers import CharacterTokenizer
from tests.training.conftest import TINY
from tests.training.interruptions import Killed
from training import fitting, pipeline, train
from training.pipeline import shards
from training.plan import Plan


def encoded(targets, keep_texts=False):
    sources = tf.constant([f"source {number}" for number in range(len(targets))])
    pairs = tf.data.Dataset.from_tensor_slices((sources, tf.constant(targets)))
    tokenizer = CharacterTokenizer.train([], unit="bytes")
    blocks = (pairs, tokenizer, tokenizer, pipeline.Filters(20))
    return pipeline.encode([pairs], *blocks[1:], keep_texts), pipeline.encoded_blocks(*blocks)


def of_pairs(targets, folder):
    found, _ = encoded(targets)
    return pipeline.BucketBatches(found, **BUCKETS)


def of_texts(targets, folder):
    found, _ = encoded(targets, keep_texts=True)
    return pipeline.BucketBatches(dataclasses.replace(found, target=found.source), **BUCKETS)


def of_prepared_pairs(targets, folder):
    shards.write(folder, len(list(folder.iterdir())), 0, encoded(targets)[1], pipeline.Filters(20))
    return pipeline.BucketBatches(shards.read(folder), **BUCKETS)


def of_running_text(targets, folder):
    ids = np.array([len(text) for text in targets], np.int32)
    return pipeline.WindowBatches(ids, window=1, batch_size=1, make_example=None, signature=None, **SHUFFLED)


def of_images(targets, folder):
    images = np.array([[[[len(text)]]] for text in targets], np.uint8)
    return pipeline.ArrayBatches({"image": images}, np.zeros(len(targets)), batch_size=1, **SHUFFLED)


SHUFFLED = {"shuffle": True, "seed": 0}
BUCKETS = {"batch_tokens": 40, "bucket_boundaries": [20], **SHUFFLED}
TARGETS = ["one", "three", "eleven"]


@pytest.mark.parametrize("make", [of_pairs, of_texts, of_prepared_pairs, of_running_text, of_images])
def test_other_examples_have_another_digest_and_equal_ones_the_same(make, tmp_path):
    lists = {
        "before": TARGETS,
        "same": list(TARGETS),
        "fewer": TARGETS[:-1],
        "other": ["one", "three", "twelve!"],
        "another order": TARGETS[::-1],
    }
    digests = {}
    for name, targets in lists.items():
        (tmp_path / name).mkdir()
        digests[name] = make(targets, tmp_path / name).digest()
    assert digests["same"] == digests["before"]
    assert len(set(digests.values())) == 4


def test_prepared_pairs_that_are_older_than_digests_are_read_for_theirs(tmp_path):
    for name, targets in {"a": TARGETS, "b": TARGETS, "c": TARGETS[::-1]}.items():
        (tmp_path / name).mkdir()
        shards.write(tmp_path / name, 0, 0, encoded(targets)[1], pipeline.Filters(20))
        (facts,) = (tmp_path / name).glob("*/facts.json")
        facts.write_text(facts.read_text().replace('"digest"', '"newer"'))
    a, b, c = (pipeline.BucketBatches(shards.read(tmp_path / name), **BUCKETS).digest() for name in "abc")
    assert a == b != c


def test_a_plan_that_is_older_than_digests_takes_any_data(tmp_path):
    (tmp_path / "plan.json").write_text('{"num_micro_batches": 2, "jit_compile": false}')
    plan = Plan.read(tmp_path)
    assert plan == Plan(2, False)
    plan.check_data({"train": "a"}, tmp_path)


def test_a_training_says_that_its_data_changed_and_goes_on_when_it_is_told(tmp_path, monkeypatch, fails):
    def write(name, count, target="b"):
        lines = [f"{'a' * (1 + number % 7)}\t{target * (1 + number % 5)}\n" for number in range(count)]
        (tmp_path / name).write_text("".join(lines))

    write("train.tsv", 40)
    write("validation.tsv", 9)
    data = {"name": "parallel_text", "train": str(tmp_path / "train.tsv"), "max_length": 9}
    data["validation"] = str(tmp_path / "validation.tsv")
    config = TINY | {"data": data, "fit": {"epochs": 2, "steps_per_epoch": 1}, "quality": {"frequency": 0}}
    config["tokenizer"] = {"source": {"kind": "bytes"}, "target": {"kind": "bytes"}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    arguments = ["--config", str(path), "--output", str(tmp_path / "run")]

    def begin(*given):
        (tmp_path / "run" / "checkpoints" / "kept.keras").touch()  # else nothing is lost, and all is removed
        raise Killed

    # No step is taken: what counts is what is looked at before.
    monkeypatch.setattr(fitting.fit, "fit", begin)
    with pytest.raises(Killed):
        train.main(arguments)
    write("train.tsv", 39)
    message = fails(train.main, *arguments)
    assert "other train data" in message and "--accept_changed_data" in message
    write("train.tsv", 40)
    write("validation.tsv", 9, target="c")
    assert "other validation data" in fails(train.main, *arguments)
    monkeypatch.setattr(fitting.fit, "fit", lambda *given: None)
    train.main([*arguments, "--accept_changed_data"])
    assert (tmp_path / "run" / "model.keras").exists()
    assert not list(tmp_path.glob(".*"))
