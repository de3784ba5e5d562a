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
    keras.distribution.set_distribution(
        keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch")
    )
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
kernel = next(w for w in model.weights if w.path.endswith("encoder/layer_0/attention/query/kernel"))
parts = {str(shard.index) for shard in kernel.value.addressable_shards}
print(json.dumps({"loss": history["loss"], "parts": len(parts), "devices": len(kernel.value.devices())}))
"""


def train(way):
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
    }
    command = [sys.executable, "-c", SCRIPT, way]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX")
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
