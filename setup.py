"""Builds the wheel: the library `keras_transformer`, and the programs in `keras_transformer_programs`.

The base install is small: Keras and NumPy. Keras needs a backend, which is the user's choice (TensorFlow,
JAX or PyTorch). The extras add what the programs in `training/` and `serving/` need.
"""

from pathlib import Path

from setuptools import find_packages, setup

# 3.15.1 is the first Keras whose loader of `.keras` files has the fixes for hostile archives.
BASE = ["keras>=3.15.1,<4", "numpy>=1.26"]

# TensorFlow Text is built against one minor version of TensorFlow: the two move together.
TEXT = ["PyYAML>=6.0", "tensorflow==2.21.*", "tensorflow-text==2.21.*", "sentencepiece>=0.2.1"]

PLOT = ["matplotlib>=3.9"]

# Reports, curves and pictures of attention are the commands' own.
TRAINING = [
    *TEXT,
    *PLOT,
    "babel>=2.16",
    # tensorflow-datasets imports it and asks for it on old Pythons only.
    "importlib_resources>=6.4",
    "jsonargparse[signatures]>=4.49",
    "psutil>=5.9",
    "rich>=13.7",
    "sacrebleu>=2.5",
    "safetensors>=0.6",
    "scikit-learn>=1.5",
    "seqeval>=1.2.2",
    "tensorboard>=2.20",
    "tensorflow-datasets>=4.9.9",
]

# keras-tuner imports the last, and scikit-learn, without depending on them.
TUNING = [*TRAINING, "keras-tuner>=1.4.8", "scipy>=1.13"]

# aiohttp is for the test double of the server alone, urllib3 for the client's REST, safetensors for exports
# to transformers.
SERVING = [
    *TEXT,
    "aiohttp>=3.14",
    "grpcio>=1.66",
    "jsonargparse[signatures]>=4.49",
    "rich>=13.7",
    "safetensors>=0.6",
    "tensorflow-serving-api==2.21.*",
    "urllib3>=2.2",
]

# The page asks TF Serving over REST with these alone, without TensorFlow; over gRPC it needs `serving`, too.
WEB = [
    "PyYAML>=6.0",
    "babel>=2.16",
    "httpx>=0.28",
    "jsonargparse[signatures]>=4.49",
    "py3langid>=0.4",
    "sentencex>=1.0.32",
    "starlette>=1.0,<2",
    "urllib3>=2.2",
    "uvicorn>=0.40",
]

# A runtime that can take a model over; here to compare with and to export to.
CTRANSLATE2 = ["ctranslate2>=4.6"]
# Not among `all`: its pins are for what the tests of this project need.
ONNX = ["onnx>=1.19", "onnxruntime>=1.23", "tf2onnx>=1.17"]

# setuptools builds the wheel that a test looks into; tensorflow-datasets' builder test needs dill. The page
# is looked at in a browser, by playwright, and asked by LibreTranslate's client.
DEV = [
    "axe-playwright-python>=0.1.8",
    "dill>=0.3.8",
    "hypothesis>=6.100",
    "libretranslatepy>=2.1.4",
    "mypy>=2.0",
    "pip-tools>=7.5",
    "playwright>=1.55",
    "pytest>=8.3",
    "pytest-xdist>=3.6",
    "ruff>=0.12",
    "setuptools>=77",
]

LIBRARY = "keras_transformer"
# Installed, the programs lie inside it: `training` and `serving` would take their names from everybody.
PROGRAMS = "keras_transformer_programs"
NESTED = ("training", "serving", "command_line")

ALL = sorted({*TRAINING, *TUNING, *SERVING, *WEB, *CTRANSLATE2, *DEV})

setup(
    # The import name belongs to another project on the package index, as a distribution.
    name="keras-transformer-zoo",
    version="0.1.0",
    description="Attention models for Keras 3: layers, training, decoding and serving",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[
        *find_packages(include=[LIBRARY, f"{LIBRARY}.*", PROGRAMS]),
        *(f"{PROGRAMS}.{name}" for name in find_packages(include=[f"{name}*" for name in NESTED])),
    ],
    package_dir={f"{PROGRAMS}.{name}": name for name in NESTED},
    package_data={
        LIBRARY: ["py.typed"],
        f"{PROGRAMS}.training": ["configs/*.yaml", "spaces/*.yaml", "cluster/*"],
        f"{PROGRAMS}.training.datasets": ["checksums.tsv"],
        f"{PROGRAMS}.training.explorer": ["page/*"],
        f"{PROGRAMS}.serving": ["tf_serving/*"],
        f"{PROGRAMS}.serving.web": ["static/*"],
    },
    entry_points={"console_scripts": ["keras-transformer = keras_transformer_programs.commands:main"]},
    install_requires=BASE,
    extras_require={
        "text": TEXT,
        "training": TRAINING,
        "tuning": TUNING,
        "serving": SERVING,
        "web": WEB,
        "ctranslate2": CTRANSLATE2,
        "onnx": ONNX,
        "plot": PLOT,
        "dev": DEV,
        "all": ALL,
    },
)
