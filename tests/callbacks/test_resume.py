"""Checkpoints of `Resume`: whole or absent, and with everything that the next step depends on."""

import keras
import numpy as np
import pytest

from keras_transformer.callbacks import Resume, ResumeEnd, finish, num_epochs, restore
from tests import checks

X = checks.numbers(12, 3, seed=1)
Y = checks.numbers(12, 1, seed=2)


def make_model():
    keras.utils.set_random_seed(5)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(7), keras.layers.Dropout(0.5)])
    model.add(keras.layers.Dense(1))
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss="mse", run_eagerly=True)
    return model


def fit(model, folder, epochs, initial_epoch=0):
    arguments = dict(batch_size=4, shuffle=False, verbose=0, callbacks=[Resume(folder)])
    return model.fit(X, Y, epochs=epochs, initial_epoch=initial_epoch, **arguments).history["loss"]


def test_without_a_checkpoint_there_is_nothing_to_restore(tmp_path):
    assert restore(tmp_path / "absent") is None
    (tmp_path / ".incomplete").mkdir()
    assert restore(tmp_path) is None


def test_only_the_newest_checkpoint_is_kept(tmp_path):
    fit(make_model(), tmp_path, epochs=4)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00003"]


def test_what_goes_on_takes_the_same_steps_dropout_included(tmp_path):
    expected = fit(make_model(), tmp_path / "whole", epochs=5)
    fit(make_model(), tmp_path / "part", epochs=3)  # its last checkpoint is of the third epoch's beginning
    model, epoch = restore(tmp_path / "part")
    assert epoch == 2
    assert fit(model, tmp_path / "part", epochs=5, initial_epoch=epoch) == expected[2:]


def test_what_a_kill_left_behind_is_ignored_and_removed(tmp_path):
    fit(make_model(), tmp_path, epochs=2)
    (tmp_path / ".incomplete").mkdir()
    (tmp_path / ".incomplete" / "model.keras").write_bytes(b"half")
    model, epoch = restore(tmp_path)
    fit(model, tmp_path, epochs=3, initial_epoch=epoch)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00002"]


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    fit(make_model(), tmp_path, epochs=2)
    model, epoch = restore(tmp_path)

    def full(path, **_):
        path.mkdir()
        (path / "half").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", full)
    with pytest.raises(OSError, match="No space left"):
        fit(model, tmp_path, epochs=4, initial_epoch=epoch)
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00001"]
    again, _ = restore(tmp_path)
    assert np.isfinite(again.predict(X, verbose=0)).all()


def test_the_end_of_a_training_is_kept_for_a_longer_one(tmp_path):
    expected = fit(make_model(), tmp_path / "whole", epochs=4)
    model = make_model()
    callbacks = [ResumeEnd(tmp_path / "part"), Resume(tmp_path / "part")]
    model.fit(X, Y, epochs=2, batch_size=4, shuffle=False, verbose=0, callbacks=callbacks)
    assert num_epochs(tmp_path / "part") == 1
    finish(tmp_path / "part", 2)
    assert [path.name for path in (tmp_path / "part").iterdir()] == ["epoch-00002"]
    model, epoch = restore(tmp_path / "part")
    assert fit(model, tmp_path / "part", epochs=4, initial_epoch=epoch) == expected[2:]


def test_a_training_that_ended_early_keeps_nothing(tmp_path):
    fit(make_model(), tmp_path / "part", epochs=3)
    finish(tmp_path / "part", 3)
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize(
    "text", ["", "[", "null", "{}", "[[1]]", "[[1, 2, 3]]", '[["a", 1]]', "[[-1, 1e30]]", "[]"]
)
def test_damaged_random_streams_name_their_file(tmp_path, text):
    fit(make_model(), tmp_path, epochs=2)
    (tmp_path / "epoch-00001" / "random_streams.json").write_text(text)
    with pytest.raises(ValueError, match="random_streams.json must hold"):
        restore(tmp_path)


def test_a_model_without_an_optimizer_is_no_state(tmp_path):
    fit(make_model(), tmp_path, epochs=2)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(7)])
    model.save(tmp_path / "epoch-00001" / "model.keras")
    with pytest.raises(ValueError, match="model.keras must hold an optimizer"):
        restore(tmp_path)
