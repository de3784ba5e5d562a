"""Which `.keras` files are opened: those that Keras writes of a model, and no other."""

import json
import tracemalloc

import keras
import numpy as np
import pytest

from keras_transformer import layers, losses, models, schedules
from keras_transformer.saving import model_files
from tests import hostile_files


@pytest.fixture(scope="module")
def model():
    """A compiled model with an optimizer state, an EMA and a schedule."""
    found = models.Transformer(5, 7, num_layers=1, hidden_dim=6, num_heads=2, intermediate_dim=11)
    optimizer = keras.optimizers.Adam(schedules.TransformerSchedule(6, 3), clipnorm=1.0, use_ema=True)
    found.compile(optimizer, losses.SmoothedCrossEntropy(0.1), run_eagerly=True)
    ids = np.ones((2, 3), "int32")
    found.fit({"source_ids": ids, "target_ids": ids}, ids, verbose=0)
    return found


@pytest.fixture(scope="module")
def good(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "model.keras"
    model.save(path)
    return path


@pytest.mark.parametrize("compile", [False, True])
def test_a_model_of_the_library_is_loaded(model, good, compile):
    loaded = model_files.load_model(good, compile=compile)
    assert hasattr(loaded, "optimizer") == compile
    for ours, theirs in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "bfloat16", "float16"])
def test_a_model_of_another_precision_is_loaded(tmp_path, policy):
    small = models.Transformer(
        5, 7, num_layers=1, hidden_dim=6, num_heads=2, intermediate_dim=11, dtype=policy
    )
    small.build()
    small.save(tmp_path / "a.keras")
    assert model_files.load_model(tmp_path / "a.keras").dtype_policy.name == policy


@pytest.mark.parametrize("name", hostile_files.FILES)
def test_a_file_that_is_made_to_do_harm_is_refused_and_does_none(good, tmp_path, monkeypatch, name):
    make, message = hostile_files.FILES[name]
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    make(good, folder / "hostile.keras")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=f"(?s){message}") as refused:
        model_files.load_model(folder / "hostile.keras")
    assert "hostile.keras" in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unknown_argument_is_a_sentence_and_no_traceback(good, tmp_path):
    change = hostile_files.with_config(lambda config: config["config"].update(colour="red"))
    change(good, tmp_path / "a.keras")
    with pytest.raises(ValueError, match="must describe a model and .*colour"):
        model_files.load_model(tmp_path / "a.keras")


@keras.saving.register_keras_serializable("users_own")
class Doubled(keras.layers.Layer):
    supports_masking = True

    def call(self, x):
        return 2 * x


def functional():
    ids = keras.Input((None,), dtype="int32")
    x = layers.TokenEmbedding(vocabulary_size=7, hidden_dim=6, mask_zero=True)(ids)
    x = layers.EncoderLayer(num_heads=2, intermediate_dim=5)(x)
    x = keras.layers.GlobalAveragePooling1D()(Doubled()(x))
    return keras.Model(ids, keras.layers.Dense(2, activation="relu", kernel_initializer="he_normal")(x))


def test_a_users_own_model_is_loaded_where_it_may_be_of_any_kind(tmp_path):
    model = functional()
    model.save(tmp_path / "a.keras")
    loaded = model_files.load_model(tmp_path / "a.keras", ours=False)
    ids = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(loaded.predict(ids, verbose=0), model.predict(ids, verbose=0))
    with pytest.raises(ValueError, match="must be one of keras_transformer. Received: .*Functional"):
        model_files.load_model(tmp_path / "a.keras")


@pytest.mark.parametrize("name", ["Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "StringLookup"])
def test_layers_that_run_code_or_read_files_are_refused_in_models_of_any_kind(good, tmp_path, name):
    hostile_files.with_config(hostile_files.layer(name))(good, tmp_path / "a.keras")
    with pytest.raises(ValueError, match=f"run no code and read no files. Received: .*keras.layers.{name}"):
        model_files.load_model(tmp_path / "a.keras", ours=False)


def test_every_class_of_keras_that_takes_code_or_files_is_known():
    # What a newer Keras adds has to be looked at once.
    suspects = [
        name for name in dir(keras.layers) if any(word in name for word in ("Layer", "Lookup", "Hash"))
    ]
    plain = {"Layer", "InputLayer", "ConvLSTM1D", "LayerNormalization", "MelSpectrogram"}
    refused = {name for name in suspects if model_files.REFUSED.fullmatch(name)}
    assert set(suspects) - plain - refused <= {"AbstractRNNCell", "EinsumDense", "RandomPosterization"}, (
        suspects
    )


def test_a_good_file_is_described_by_what_the_test_changes(good):
    # Else the hostile files would be refused for another reason.
    config = json.loads(hostile_files.parts(good)["config.json"])
    assert config["class_name"] == "Transformer" and config["config"]["activation"] == "relu"
    model_files.check(good)


def test_a_model_with_a_weight_that_is_not_finite_is_refused_by_its_name(good, tmp_path):
    broken = model_files.load_model(good)
    kernel = broken.decoder.layers[0].feed_forward.layer.intermediate_dense.kernel
    numbers = np.copy(keras.ops.convert_to_numpy(kernel))
    numbers[2, 3] = np.nan
    kernel.assign(numbers)
    broken.save(tmp_path / "a.keras")
    with pytest.raises(
        ValueError, match=r"must be finite.*a\.keras: 1 of \d+ are not, .*intermediate/kernel"
    ):
        model_files.load_model(tmp_path / "a.keras")


@pytest.mark.parametrize("policy", ["bfloat16", "float16"])
def test_weights_of_every_precision_are_looked_at(policy):
    small = models.Transformer(
        5, 7, num_layers=1, hidden_dim=6, num_heads=2, intermediate_dim=11, dtype=policy
    )
    small.build()
    model_files.check_finite(small, "small")
    for value in (np.nan, np.inf, -np.inf):
        small.encoder.layers[0].feed_forward.norm.gamma.assign(np.full(6, value))
        with pytest.raises(ValueError, match="Received: small: 1 of "):
            model_files.check_finite(small, "small")


def test_a_model_is_written_without_a_copy_of_all_its_weights(tmp_path):
    model = keras.Sequential([keras.layers.Dense(300, use_bias=False) for _ in range(6)])
    model.build((None, 300))
    tracemalloc.start()
    model_files.save_model(model, tmp_path / "a.keras")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Two of one of them.
    assert peak < 4 * 300 * 300 * 4
    assert [path.name for path in tmp_path.iterdir()] == ["a.keras"]
    again = model_files.load_model(tmp_path / "a.keras", ours=False)
    for weight, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)
    model.save(tmp_path / "b.keras")
    assert (
        hostile_files.parts(tmp_path / "a.keras").keys() == hostile_files.parts(tmp_path / "b.keras").keys()
    )
