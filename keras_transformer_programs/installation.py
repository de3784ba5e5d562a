"""Whether all that the programs need is installed, and is what they need."""

import importlib.util
import sys
from pathlib import Path

DISTRIBUTION = "keras-transformer-zoo"

# Name under which it is imported -> extra of setup.py. Where several have it: the one that does more with it.
EXTRAS = {
    "aiohttp": "serving",
    "babel": "training",
    "ctranslate2": "ctranslate2",
    "grpc": "serving",
    "httpx": "web",
    "jsonargparse": "training",
    "keras_tuner": "tuning",
    "matplotlib": "plot",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "psutil": "training",
    "py3langid": "web",
    "rich": "training",
    "sacrebleu": "training",
    "safetensors": "training",
    "scipy": "tuning",
    "sentencepiece": "text",
    "sentencex": "web",
    "seqeval": "training",
    "sklearn": "training",
    "starlette": "web",
    "tensorboard": "training",
    "tensorflow": "text",
    "tensorflow_datasets": "training",
    "tensorflow_serving": "serving",
    "tensorflow_text": "text",
    "tf2onnx": "onnx",
    "urllib3": "serving",
    "uvicorn": "web",
    "yaml": "text",
}


def explained(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error with a message that says what to install; the error itself if it is of another package."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return error
    return ModuleNotFoundError(
        f'The package {package} must be installed: pip install ".[{EXTRAS[package]}]" in a clone, or '
        f"activate the environment that has it (. .venv/bin/activate). Received: {sys.executable}, without.",
        name=error.name,
    )


def check(package: str) -> None:
    """Raises unless a package that is used later is installed: before something long begins.

    Raises:
        ModuleNotFoundError: says what to install.
    """
    if importlib.util.find_spec(package) is None:
        raise explained(ModuleNotFoundError(f"No module named {package!r}", name=package))


def wrong_library() -> str | None:
    """What is wrong if `keras_transformer` is another project's; see `keras_transformer.installation`."""
    found = importlib.util.find_spec("keras_transformer")
    path = Path(found.origin) if found and found.origin else None
    if path and DISTRIBUTION in path.read_text(encoding="utf-8"):
        return None
    return (
        f"`keras_transformer` must be that of {DISTRIBUTION}. Received: {path}, of another project; "
        "the two replace each other's files. pip uninstall keras-transformer, then install this one again: "
        'pip install --force-reinstall --no-deps "." in a clone.'
    )
