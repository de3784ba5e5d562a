"""The programs, wherever they are installed: the command `keras-transformer`, and what notebooks import.

    from keras_transformer_programs import evaluate, train

`training`, `serving` and `command_line` are names too general for everybody's site-packages. A wheel has them
inside this folder, a clone beside it. Importing this package makes these three importable by their own names,
in this process: programs read and run the same from a clone and installed.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
from pathlib import Path

from keras_transformer_programs import installation

PROGRAMS = ("training", "serving", "command_line")
_HERE = Path(__file__).resolve().parent
IS_CLONE = not (_HERE / PROGRAMS[0]).is_dir()
ROOT = _HERE.parent if IS_CLONE else _HERE

# Name -> module that has it. Each is imported when it is asked for: only then does TensorFlow start.
_NAMES = {
    "read_config": "training.python",
    "train": "training.python",
    "evaluate": "training.python",
    "Run": "training.python",
    "show_attention": "training.explore",
    "export": "serving.export",
    "RunHyperModel": "training.hypermodels",
    "TransformerHyperModel": "training.hypermodels",
}
__all__ = list(_NAMES)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the three, before a `training.py` in the user's folder, and nothing else."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        return importlib.machinery.PathFinder.find_spec(name, [str(ROOT)]) if name in PROGRAMS else None


for _name in PROGRAMS:
    _file = getattr(sys.modules.get(_name), "__file__", None)
    if _name in sys.modules and (not _file or Path(_file).resolve().parents[1] != ROOT):
        raise ImportError(
            f"`{_name}` must be this project's. Received: {_file or 'another one'}, imported before. "
            "Import keras_transformer_programs first, in a new process."
        )
sys.meta_path.insert(0, _Finder())


def __getattr__(name):
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if wrong := installation.wrong_library():
        raise ImportError(wrong)
    try:
        module = importlib.import_module(_NAMES[name])
    except ModuleNotFoundError as error:
        raise installation.explained(error) from None
    return getattr(module, name)


def __dir__():
    return sorted({*globals(), *_NAMES})
