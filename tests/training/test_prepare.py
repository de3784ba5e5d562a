"""Prepared pairs are those that would have been tokenized, however often the preparation was interrupted."""

import json

import numpy as np
import pytest

from tests.training.conftest import TINY
from training import fitting, prepare, tasks, train
from training.config import read
from training.pipeline import pairs, shards

DATA = {**TINY["data"], "num_examples": 70, "max_length": 24, "bucket_boundaries": [16, 24]}


@pytest.fixture
def small(monkeypatch):
    """Shards of 2 blocks of 16 pairs."""
    monkeypatch.setattr(pairs, "TOKENIZER_BATCH", 16)
    monkeypatch.setattr(shards, "BLOCKS_OF_SHARD", 2)


def config(**data):
    return read({**TINY, "data": {**DATA, **data}})


def batches(found):
    task = tasks.make(found)
    task.load()
    task.train_tokenizers()
    return task.batches("train")


def assert_same_batches(found, expected):
    assert found.summary() == expected.summary()
    for number in (0, 1):
        both = zip(found.batches_of_pass(number), expected.batches_of_pass(number), strict=True)
        for (inputs, labels), (wanted, wanted_labels) in both:
            np.testing.assert_array_equal(labels, wanted_labels)
            for name, ids in wanted.items():
                np.testing.assert_array_equal(inputs[name], ids)


CORPORA = [{}, {"also": [{"name": "dates", "num_examples": 41, "weight": 2.5}]}, {"max_length_ratio": 2.5}]


@pytest.mark.parametrize("data", CORPORA)
def test_prepared_pairs_give_the_batches_of_the_texts(small, tmp_path, data):
    prepare.prepare(config(**data), tmp_path / "prepared", 1000)
    found = batches(config(**data, prepared=str(tmp_path / "prepared")))
    expected = batches(config(**data))
    assert expected.encoded.dropped  # else the filters were not seen to count
    assert_same_batches(found, expected)


@pytest.mark.parametrize("data", [*CORPORA, {"remove_duplicates": True}])
def test_an_interrupted_preparation_goes_on(small, tmp_path, monkeypatch, data):
    write, numbers = shards.write, []

    def killed(folder, number, *arguments):
        numbers.append(number)
        if len(numbers) in (2, 4):
            (folder / f".incomplete-{number:05d}").mkdir(exist_ok=True)  # as a kill while writing leaves it
            raise KeyboardInterrupt
        return write(folder, number, *arguments)

    monkeypatch.setattr(shards, "write", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            prepare.prepare(config(**data), tmp_path / "prepared", 1000)
    prepare.prepare(config(**data), tmp_path / "prepared", 1000)
    if "remove_duplicates" in data:
        assert numbers[:5] == [0, 1, 0, 1, 0]  # what came before is not known any more
    else:
        assert numbers[:5] == [0, 1, 1, 2, 2]
    found = batches(config(**data, prepared=str(tmp_path / "prepared")))
    assert_same_batches(found, batches(config(**data)))
    assert not list((tmp_path / "prepared").glob(".incomplete*"))


def test_ids_above_16_bits_are_kept(tmp_path):
    block = pairs.Block(2, [(np.array([7, 70_000, 5]), np.array([2, 1]))] * 2, [None, None])
    filters = pairs.Filters(9)
    assert shards.write(tmp_path, 0, 0, iter([block]), filters) == 2
    rows = shards.read(tmp_path).source
    assert rows[0].tolist() == [7, 70_000] and rows[1].tolist() == [5]
    assert shards.write(tmp_path, 1, 0, iter([]), filters) == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_the_command_prepares_and_the_training_takes_it(tiny_config, tmp_path, capsys, monkeypatch):
    output = tmp_path / "prepared"
    prepare.main(["--config", tiny_config, "--output", str(output)])
    printed = capsys.readouterr().out
    facts = json.loads((output / "complete.json").read_text())
    assert f"{facts['num_pairs']:,} pairs of 300" in printed
    run = tmp_path / "run"
    fitted = []

    def stopped(start, data, *_):
        fitted.append(data)
        raise KeyboardInterrupt

    monkeypatch.setattr(fitting.fit, "fit", stopped)
    with pytest.raises(KeyboardInterrupt):
        train.main(["--config", tiny_config, "--output", str(run), "--data.prepared", str(output)])
    assert fitted[0].batches["train"].summary().startswith(f"{facts['num_pairs']:,} pairs")


def test_what_does_not_fit_is_refused(tiny_config, tmp_path, fails):
    output = tmp_path / "prepared"
    command = ["--config", tiny_config, "--output", output]
    assert "tokenizer_pairs" in fails(prepare.main, *command, "--tokenizer_pairs", 0)
    assert "must be pairs for a translator" in fails(prepare.main, *command, "--model.kind", "causal_lm")
    assert "has finished" in fails(train.main, *command, "--data.prepared", output)
    prepare.main([str(argument) for argument in command])
    assert "is complete" in fails(prepare.main, *command)
    (output / "complete.json").rename(tmp_path / "aside")
    assert "data.max_length: 48. Received: 47" in fails(prepare.main, *command, "--data.max_length", 47)
    (tmp_path / "aside").rename(output / "complete.json")
    given = ["--config", tiny_config, "--output", tmp_path / "run", "--data.prepared", output]
    assert "tokenizer.source" in fails(train.main, *given, "--tokenizer.source.kind", "code_points")
    assert "not prepared" in fails(train.main, *given, "--augmentation.word_dropout", 0.1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    other = ["--config", tiny_config, "--output", tmp_path / "other"]
    assert "must be a new folder" in fails(prepare.main, *other)
    assert not (tmp_path / "run").exists()
