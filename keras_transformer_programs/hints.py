"""How a program was started, and how to write a command that the reader can paste."""

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from keras_transformer_programs import PROGRAMS

CONSOLE = "keras-transformer"


def is_started_by_module() -> bool:
    """Whether this process is `python -m training.train` or another of the programs."""
    specification = getattr(sys.modules.get("__main__"), "__spec__", None)
    return specification is not None and specification.name.partition(".")[0] in PROGRAMS


def program(module: str) -> str:
    """A program's name for its help: as it was started."""
    if is_started_by_module() or Path(sys.argv[0]).stem != CONSOLE:
        return f"python -m {module}"
    return f"{CONSOLE} {module.rpartition('.')[2]}"


def command(module: str, *arguments: Any) -> str:
    """A line that starts a program from this folder, with this environment active or not.

    Args:
        module: of the program, training.translate.
        arguments: of the program.
    """
    path = script(CONSOLE)
    start = [sys.executable, "-m", module] if path is None else [path, module.rpartition(".")[2]]
    return shlex.join(map(str, [*start, *arguments]))


def script(name: str) -> str | None:
    """A command of this environment as it can be typed here: its name, or its path; None if there is none."""
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.is_file():
        return None
    found = shutil.which(name)
    if found and os.path.samefile(found, path):
        return name
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
