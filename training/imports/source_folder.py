"""A folder of somebody else's model: what says how it is made, a tokenizer's files, weights."""

import re
from pathlib import Path
from typing import Any

from keras_transformer.saving.run_files import read_json, sha256

CONFIG_FILE = "config.json"
# What says, in a folder of OpenNMT-tf, which checkpoint is the newest; such a folder is told by it.
CHECKPOINT_FILE = "checkpoint"
LICENCE = re.compile(r"(LICEN[CS]E|COPYING)(\.\w+)?", re.IGNORECASE)


class SourceFolder:
    """The folder's files, each looked at when it is asked for.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        config: what config.json holds; of OpenNMT-tf's folders without one, their `model_type`.
        read_files: {name: path} of the files that were asked for and are there.

    Raises:
        ValueError: it is no folder, or has neither a config.json with a `model_type` nor `checkpoint`.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.read_files = {}
        if (self.path / CHECKPOINT_FILE).is_file() and not (self.path / CONFIG_FILE).exists():
            self.config = {"model_type": "opennmt_tf"}
            return
        if not (self.path / CONFIG_FILE).is_file():
            raise ValueError(f"A folder of weights holds {CONFIG_FILE}. Received: {path}, which does not.")
        self.config = self.json(CONFIG_FILE)
        if not isinstance(self.config.get("model_type"), str):
            raise ValueError(
                f"{self.path / CONFIG_FILE} must have a model_type, a name. "
                f"Received: {self.config.get('model_type')!r:.80}."
            )

    def file(self, name: str) -> Path | None:
        """A file in the folder, None if it is not there.

        Raises:
            ValueError: the name leads out of the folder.
        """
        parts = Path(name).parts
        if Path(name).is_absolute() or ".." in parts or "\\" in name or "\0" in name:
            raise ValueError(
                f"Files must lie in the folder. Received: {self.path}, which names {name!r:.80}."
            )
        path = self.path / name
        if not path.is_file():
            return None
        self.read_files[name] = path
        return path

    def json(self, name: str, kind: type = dict) -> Any:
        """What a JSON file holds; None if it is not there. ValueError if it holds something else."""
        path = self.file(name)
        return None if path is None else read_json(path, kind)

    def lines(self, name: str) -> list[str] | None:
        """The lines of a text file; None if it is not there. ValueError if it is not UTF-8."""
        path = self.file(name)
        if path is None:
            return None
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} must be UTF-8. Received: {error}.") from error
        # Not `splitlines`: a piece may be a character that it takes for the end of a line.
        return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]

    def value(self, name: str, kind: type, default=None) -> Any:
        """A value of config.json.

        Raises:
            ValueError: it is of another type, or is not there and there is no default.
        """
        found = self.config.get(name, default)
        kinds = (int, float) if kind is float else (kind,)
        if type(found) not in kinds:
            raise ValueError(
                f"{self.path / CONFIG_FILE} must have {name}, of the type {kind.__name__}. "
                f"Received: {found!r:.80}."
            )
        return found

    def refuse_unless(self, name: str, *allowed) -> None:
        """Raises ValueError if config.json has a value that is not supported; what it has not is."""
        found = self.config.get(name, allowed[0])
        if found not in allowed:
            known = " or ".join(repr(value) for value in allowed)
            raise ValueError(f"`{name}` of {CONFIG_FILE} must be {known}. Received: {found!r:.80}.")

    def refuse_others(self, *known: str) -> None:
        """Raises ValueError if config.json has an option besides `model_type` and the known ones."""
        for name in sorted(set(self.config) - {"model_type", *known}):
            raise ValueError(
                f"{CONFIG_FILE} must have no other options than model_type, {', '.join(known)}. "
                f"Received: {name!r:.80}."
            )

    def provenance(self) -> dict:
        """Where the model came from: the folder's name, a licence that it names, sums of what was read."""
        return {
            "folder": self.path.resolve().name,
            "model_type": self.config["model_type"],
            "licence": self._licence(),
            "sha256": {name: sha256(path) for name, path in sorted(self.read_files.items())},
        }

    def _licence(self):
        """What the head of README.md says, else the name of a licence's file, else None."""
        path = self.path / "README.md"
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            head = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
            line = head and re.search(r"^license:[ \t]*(\S.*)$", head.group(1), re.MULTILINE)
            if line:
                return line.group(1).strip("\"' ")[:80]
        files = sorted(path.name for path in self.path.iterdir() if LICENCE.fullmatch(path.name))
        return files[0] if files else None
