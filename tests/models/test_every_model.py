"""What every model of the zoo does with Keras's own `export`, and with what is no input of it."""

import inspect

import keras
import numpy as np
import pytest

from keras_transformer import models
from tests import checks
from tests.layers.every_layer import bad_configs
from tests.models.every_model import MODELS, inputs

every = pytest.mark.parametrize("name", sorted(MODELS))
# Which the usual run exports: two inputs, one, and images. The others come from the same method.
SHORT = {"Transformer", "TextEncoder", "ImageCaptioner"}
EXPORTED = [name if name in SHORT else pytest.param(name, marks=pytest.mark.slow) for name in sorted(MODELS)]
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exported from TensorFlow"
)


def test_the_table_holds_every_model():
    public = {name for name in models.__all__ if inspect.isclass(getattr(models, name))}
    assert set(MODELS) == public - {"AutoregressiveModel"}


def exported(model, folder):
    import tensorflow as tf

    model.export(folder, verbose=False)
    loaded = tf.saved_model.load(folder)
    _, signature = loaded.signatures["serving_default"].structured_input_signature
    free = 1 if isinstance(model, models.VisionTransformer) else 2  # which has a size that images must have
    assert all(set(spec.shape[:free]) == {None} for spec in signature.values())
    for name, spec in signature.items():
        assert spec.dtype == (tf.int32 if name.endswith("_ids") else tf.float32), name
    return loaded


@needs_tensorflow
@pytest.mark.parametrize("name", EXPORTED)
def test_an_export_answers_any_rows_and_lengths_with_integer_ids(name, tmp_path):
    """After a first call, saving and loading: lengths and rows of that call are forgotten."""
    model = checks.built(MODELS[name], (inputs(name),))
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    loaded = exported(model, tmp_path / "export")
    asked = inputs(name, rows=3, length=5, source_length=2)
    np.testing.assert_allclose(checks.as_array(loaded.serve(asked)), checks.as_array(model(asked)), atol=1e-5)


@needs_tensorflow
def test_a_model_that_was_never_called_can_be_exported(tmp_path):
    model, asked = MODELS["CausalLM"](), inputs("CausalLM")
    loaded = exported(model, tmp_path / "export")
    np.testing.assert_allclose(checks.as_array(loaded.serve(asked)), checks.as_array(model(asked)), atol=1e-5)


@every
def test_inputs_are_specified_before_and_after_a_call(name):
    model = MODELS[name]()
    if name == "AttentionCNN":
        with pytest.raises(ValueError, match="`input_shape` must be .*Received: input_shape=None"):
            model.build()
        model.build((None, None, None, 1))
    elif name == "SequenceClassifier":
        assert set(model.input_specs()) == {"token_ids"}
        model.build({"token_ids": (None, None), "segment_ids": (None, None)})
    asked = inputs(name)
    specs = model.input_specs()
    keras.tree.assert_same_structure(specs, asked)
    model(asked)
    assert repr(model.input_specs()) == repr(specs)
    # On PyTorch Keras knows weights by their paths.
    paths = [weight.path for weight in model.weights]
    assert len(set(paths)) == len(paths)


@needs_tensorflow
def test_a_signature_that_is_given_is_taken(tmp_path):
    import tensorflow as tf

    model = MODELS["CausalLM"]()
    spec = {"target_ids": keras.layers.InputSpec(shape=(None, 4), dtype="int64", name="target_ids")}
    model.export(tmp_path / "export", input_signature=[spec], verbose=False)
    signature = tf.saved_model.load(tmp_path / "export").signatures["serving_default"]
    (spec,) = signature.structured_input_signature[1].values()
    assert spec.shape[1] == 4 and spec.dtype == tf.int64


@every
def test_an_unknown_argument_is_answered_with_the_model_and_its_arguments(name):
    with pytest.raises(ValueError, match=f"`(TextEncoder|{name})` takes .* Received: `d_model`"):
        MODELS[name](d_model=3)
    with pytest.raises(TypeError, match=f"A call of `{name}` takes .* Received: `mask`"):
        MODELS[name]()(inputs(name), mask=np.ones((2, 3), bool))


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"AttentionCNN", "VisionTransformer"}))
def test_inputs_that_do_not_fit_are_named(name):
    model, asked = MODELS[name](), inputs(name)
    with pytest.raises(ValueError, match=r"`inputs` must be a dictionary with .*_ids.* Received: \['ids'\]"):
        model({"ids": np.ones((2, 3), "int32")})
    with pytest.raises(ValueError, match=r"Ids must have the shape \(batch, length\)"):
        model({part: ids[:, :1, None] if part.endswith("_ids") else ids for part, ids in asked.items()})
    if len(asked) > 1:
        last = list(asked)[-1]
        with pytest.raises(ValueError, match="must have|one number of rows"):
            model({**asked, last: asked[last][:1]})


@every
def test_arguments_out_of_range_are_refused_by_name(name):
    model = MODELS[name]()
    for argument, config in bad_configs(model.get_config()):
        with pytest.raises((TypeError, ValueError), match=f"`{argument}` must .* Received: {argument}="):
            type(model).from_config(config)


@pytest.mark.parametrize("name", ["CausalLM", "Transformer", "ImageCaptioner", "VisionTransformer"])
def test_heads_share_the_width(name):
    model = MODELS[name]()
    config = {**model.get_config(), "num_heads": 4, "decoder": "transformer"}
    if name != "ImageCaptioner":
        del config["decoder"]
    with pytest.raises(ValueError, match="multiple of `num_heads`.*Received: hidden_dim=6, num_heads=4"):
        type(model).from_config(config)


@pytest.mark.parametrize("name", ["MaskedLM", "SequenceClassifier", "TokenClassifier"])
def test_an_encoder_is_a_text_encoder(name):
    with pytest.raises(
        ValueError, match="`encoder` must be a `layers.TextEncoder`. Received: encoder='bert'"
    ):
        getattr(models, name)("bert", *([] if name == "MaskedLM" else [3]))
