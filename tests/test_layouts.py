"""A Transformer on eight virtual devices of JAX: data parallel, and with its weights split."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from keras_transformer import layouts
from tests.models.every_model import MODELS

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """
import json, sys
import keras, numpy as np
from keras_transformer import layouts, losses, models

way = sys.argv[1]
if way == "data":
    keras.distribution.set_distribution(keras.distribution.DataParallel())
if way == "model":
    mesh = keras.distribution.DeviceMesh((2, 4), ["batch", "model"])
    layout = layouts.model_parallel(mesh)
    keras.distribution.set_distribution(layouts.ModelParallel(layout_map=layout, batch_dim_name="batch"))
keras.utils.set_random_seed(1)
model = models.Transformer(
    24, 28, num_layers=1, hidden_dim=16, num_heads=4, intermediate_dim=20, dropout=0.0
)
model.build()
model.compile(keras.optimizers.Adam(1e-3, epsilon=1e-4), losses.SmoothedCrossEntropy(0.1))
draw = np.random.default_rng(0)
source, target, labels = draw.integers(4, 24, (3, 16, 6)).astype("int32")
source[:, 4:] = 0
inputs = {"source_ids": source, "target_ids": target}
history = model.fit(inputs, labels, batch_size=8, epochs=3, shuffle=False, verbose=0).history
ending = "encoder/layer_0/self_attention/attention/query/kernel"
kernel = next(weight for weight in model.weights if weight.path.endswith(ending))
parts = {str(shard.index) for shard in kernel.value.addressable_shards}
print(json.dumps({"loss": history["loss"], "parts": len(parts), "devices": len(kernel.value.devices())}))
"""


ZOO = """
import keras
from keras_transformer import layouts
from tests.models.every_model import MODELS, inputs

for count in (2, 4, 8):
    devices = keras.distribution.list_devices()[:count]
    mesh = keras.distribution.DeviceMesh((1, count), ["batch", "model"], devices=devices)
    for name, make in MODELS.items():
        distribution = layouts.ModelParallel(layout_map=layouts.model_parallel(mesh), batch_dim_name="batch")
        with distribution.scope():
            make()(inputs(name))
"""


def run(script, *arguments):
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    }
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def train(way):
    return json.loads(run(SCRIPT, way).splitlines()[-1])


needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX")


@needs_jax
@pytest.mark.parametrize(("way", "parts"), [("data", 1), ("model", 4)])
def test_eight_devices_train_as_one(way, parts):
    alone, together = train("alone"), train(way)
    assert together["loss"] == pytest.approx(alone["loss"], abs=1e-5)
    assert alone["devices"] == 1
    assert together["devices"] == 8
    assert together["parts"] == parts


def test_the_mesh_must_have_the_axis():
    class Mesh:
        axis_names = ["batch"]

    with pytest.raises(ValueError, match="`axis` must be one of .*'batch'.* Received: axis='model'"):
        layouts.model_parallel(Mesh())
    assert hasattr(keras.distribution, "LayoutMap")


@needs_jax
@pytest.mark.slow
def test_every_model_runs_on_two_four_and_eight_devices():
    run(ZOO)


@pytest.mark.parametrize("count", [2, 4, 8])
@pytest.mark.parametrize("name", ["AttentionCNN", "ConvSeq2Seq", "MaskedLM", "RNNSeq2Seq", "Transformer"])
def test_only_what_divides_evenly_is_split(name, count):
    devices = [f"cpu:{number}" for number in range(count)]
    mesh = keras.distribution.DeviceMesh((1, count), ["batch", "model"], devices=devices)
    distribution = layouts.ModelParallel(layout_map=layouts.model_parallel(mesh), batch_dim_name="batch")
    model = MODELS[name]()
    model.build((None, None, None, 1) if name == "AttentionCNN" else None)
    split = 0
    for weight in model.weights:
        axes = distribution.get_variable_layout(weight).axes
        for axis, size in zip(axes, weight.shape, strict=True):
            assert axis is None or size % count == 0, weight.path
            split += axis is not None
    assert (split > 0) == (name in ("MaskedLM", "Transformer") and count == 2)


def test_segments_are_for_no_number_of_devices():
    mesh = keras.distribution.DeviceMesh((1, 2), ["batch", "model"], devices=["cpu:0", "cpu:1"])
    layout = layouts.model_parallel(mesh)
    assert layout["masked_lm/text_encoder/segment_embedding/embeddings"] is None
    assert layout["masked_lm/text_encoder/token_embedding/embeddings"].axes == ("model", None)
    assert layout["causal_lm/embedding/embeddings"].axes == ("model", None)
