"""A program in a process of its own, from any folder: python -m keras_transformer_programs.child MODULE ...

The folder that the user is in is not searched for modules: a `training.py` that is there is not the program.
Importing this package is what finds it.
"""

import os
import runpy
import sys
from typing import Any

from keras_transformer_programs import IS_CLONE, ROOT


def command(module: str, *arguments: Any) -> list[str]:
    """What starts the module as `__main__`, in the environment of `environment`."""
    return [sys.executable, "-P", "-m", __spec__.name, module, *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """This process's, with changes; a clone need not be installed."""
    path = os.environ.get("PYTHONPATH")
    clone = {"PYTHONPATH": os.pathsep.join([str(ROOT), *([path] if path else [])])} if IS_CLONE else {}
    return os.environ | clone | changes


if __name__ == "__main__":
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
