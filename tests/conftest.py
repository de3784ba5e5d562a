"""What every test starts from: a quiet TensorFlow, a fixed seed, float32, full-precision products.

Works in both environments: where TensorFlow is not installed, Keras runs on the backend that KERAS_BACKEND
names.
"""

import contextlib
import fcntl
import functools
import gc
import importlib.util
import io
import os
import shutil
import sys
from pathlib import Path
from unittest import mock

# Before the first import of TensorFlow, which reads them once. The tests need no GPU, and on one their
# numbers differ.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Each program is compiled for one test: what optimising it costs it never earns back.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
# One process on each core: more threads would only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import pytest

from tests import warm


def pytest_configure(config):
    """Starts TensorFlow, but where the tests are run by other processes, which it would only keep waiting."""
    if getattr(config.option, "numprocesses", None):
        return
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
        keras.utils.set_random_seed(1)
    keras.config.disable_interactive_logging()


# They take longest: whoever began one of them last would be waited for.
LONG = [
    f"tests/{name}.py"
    for name in (
        "test_readme",
        "serving/test_zoo",
        "training/test_zoo_runs",
        "models/test_rnn_seq2seq",
        "training/test_launch",
        "training/test_resume",
        "models/test_image_captioner",
        "serving/test_signatures",
        "test_trainer",
        "training/test_plan",
    )
]


def pytest_collection_modifyitems(items):
    """The long files first."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.nodeid.split("::")[0], len(places)))


def pytest_collection_finish():
    """What was imported stays: looking for garbage among it costs a tenth of the tests' time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


# Examples in the validation and the test split of the generated data sets.
HELD_OUT = 60

REPOSITORY = Path(__file__).resolve().parent.parent
DATA_FOLDER = Path(os.environ.get("KERAS_TRANSFORMER_TEST_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(autouse=True)
def same_start():
    """Gives each test the same seed and float32, whatever the test before it did.

    Nothing here draws by `tf.random`, whose seed would throw away every kernel that TensorFlow has made.
    """
    import keras

    has_tensorflow = "tensorflow" in sys.modules
    with mock.patch("tensorflow.random.set_seed") if has_tensorflow else contextlib.nullcontext():
        keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session", autouse=True)
def small_held_out_splits():
    """Of the generated data sets: each training of a few steps would be measured on thousands of examples."""
    with pytest.MonkeyPatch.context() as patch:
        if importlib.util.find_spec("tensorflow"):
            from training.datasets import dates, scenes

            for sizes in (dates.NUM_EXAMPLES, scenes.NUM_EXAMPLES):
                patch.setitem(sizes, "validation", HELD_OUT)
                patch.setitem(sizes, "test", HELD_OUT)
        yield


@pytest.fixture(scope="module")
def whole_held_out_splits(small_held_out_splits):
    """As users have them: where they are the point, or where other processes do the same."""
    from training.datasets import dates, scenes

    with pytest.MonkeyPatch.context() as patch:
        for sizes, size in ((dates.NUM_EXAMPLES, 2_000), (scenes.NUM_EXAMPLES, 1_000)):
            patch.setitem(sizes, "validation", size)
            patch.setitem(sizes, "test", size)
        yield


@pytest.fixture(autouse=True)
def room_for_programs():
    """Lets go of what JAX compiled: each program keeps memory maps, of which Linux gives a process 65,530."""
    import keras

    yield
    maps = Path("/proc/self/maps")
    if keras.backend.backend() == "jax" and maps.exists() and len(maps.read_bytes().splitlines()) > 20_000:
        import jax

        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="module")
def whole_collections():
    """What `quick_collections` spared is collected at the end."""
    yield
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@pytest.fixture
def quick_collections(whole_collections):
    """Spares Keras, which collects garbage after each layer that it quantizes, what is there already."""
    gc.freeze()


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
def made_once(tmp_path_factory):
    """`made_once(name, make)`: a folder to be read, which `make(folder)` fills once for all workers."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def made(name, make):
        folder, whole = base / name, base / f"{name}.whole"
        with open(base / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                whole.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory):
    """A Python whose processes start at once, see `tests.warm`; where a real start is not the point."""
    with warm.Python(tmp_path_factory.mktemp("bin")) as path:
        yield str(path)


@pytest.fixture
def starts_warm(warm_python, monkeypatch):
    """What is started by `sys.executable` starts at once."""
    monkeypatch.setattr("sys.executable", warm_python)


@pytest.fixture(scope="session")
def zoo_run(made_once):
    """`zoo_run(kind, **model)`: a run folder to be read, see `tiny_runs.train`; each is trained once."""
    from tests import tiny_runs  # here: it needs TensorFlow

    @functools.cache
    def run(kind, **model):
        def make(folder):
            # Else the test that comes first would find the training's lines in its own output.
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                tiny_runs.train(folder, kind, **model)

        return made_once("-".join([kind, *map(str, model.values())]), make) / "run"

    return run
