"""What every test starts from: a quiet TensorFlow, a fixed seed, float32, full-precision products.

Works in both environments: where TensorFlow is not installed, Keras runs on the backend that KERAS_BACKEND
names.
"""

import contextlib
import functools
import gc
import importlib.util
import os
from pathlib import Path

# Before the first import of TensorFlow, which reads them once. The tests need no GPU, and on one their
# numbers differ.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# One process on each core: more threads would only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pytest

start_up = contextlib.nullcontext
if importlib.util.find_spec("tensorflow"):
    from command_line.quiet import start_up

# Lines of TensorFlow's start-up would come behind pytest's own last line.
with start_up():
    import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # TF32 keeps 10 bits of each factor: comparisons at 1e-5 would fail on the GPUs that have it.
    tf.config.experimental.enable_tensor_float_32_execution(False)

keras.config.disable_interactive_logging()

REPOSITORY = Path(__file__).resolve().parent.parent
DATA_FOLDER = Path(os.environ.get("KERAS_TRANSFORMER_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def same_start():
    """Gives each test the same seed and float32, whatever the test before it did."""
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(autouse=True)
def room_for_programs():
    """Lets go of what JAX compiled: each program keeps memory maps, of which Linux gives a process 65,530."""
    yield
    maps = Path("/proc/self/maps")
    if keras.backend.backend() == "jax" and maps.exists() and len(maps.read_bytes().splitlines()) > 20_000:
        import jax

        jax.clear_caches()
        gc.collect()


@pytest.fixture
def quick_collections():
    """Spares Keras, which collects garbage after each layer that it quantizes, what is there already."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def data_folder():
    """Finds a data set that may not be distributed with the code: `data_folder("multi30k")`."""

    def find(name):
        folder = DATA_FOLDER / name
        if not folder.is_dir():
            pytest.skip(f"no {name} here: KERAS_TRANSFORMER_TEST_DATA names a folder that holds it")
        return folder

    return find


@pytest.fixture(scope="session")
def zoo_run(tmp_path_factory):
    """`zoo_run(kind, **model)`: a run folder to be read, see `tiny_runs.train`; each is trained once."""
    from tests import tiny_runs  # here: it needs TensorFlow

    @functools.cache
    def run(kind, **model):
        return tiny_runs.train(tmp_path_factory.mktemp(kind), kind, **model)

    return run
