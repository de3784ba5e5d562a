"""The commands of all pages: each is one that its program accepts. `test_readme` runs the README's."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest

import command_line
from keras_transformer_programs.commands import COMMANDS
from training.config import config_class

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "benchmarks/README.md"]
PAGES += [str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")]
BLOCK = re.compile(r"^```(?:bash)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(
    r"^(?:python -m ((?:training|serving|benchmarks)\.\w+)|keras-transformer ([a-z]\w+)) ?(.*)$", re.MULTILINE
)

# Runs whose kind decides which options a command has.
CLASSIFIERS = {
    "fashion": "attention_cnn",
    "patches": "vit",
    "titles": "text_classifier",
    "mood": "text_classifier",
    "words": "rnn_classifier",
}


def commands():
    """(page, module, arguments) of every command in the blocks of the pages."""
    for page in sorted(PAGES):
        for block in BLOCK.findall((ROOT / page).read_text(encoding="utf-8")):
            for module, command, rest in COMMAND.findall(block.replace("\\\n", " ")):
                module = module or COMMANDS[command][0]
                # What the reader may add stands in brackets, or is dots.
                rest = re.sub(r" \[-.*?\.\.\.\]|\.\.\.$", "", rest)
                # The rest of the line is the shell's.
                rest = re.sub(r" [>&|].*", "", rest)
                yield page, module, shlex.split(rest, comments=True)


class Accepted(Exception):
    """The arguments were parsed; the program is not run."""


@pytest.fixture
def only_parsed(monkeypatch, tmp_path):
    """In a folder of the user's, programs end once their arguments are read."""
    given = {
        "my.yaml": "transformer",
        "runs/numbers/config.yaml": "transformer",
        "runs/opus/config.yaml": "transformer",
        "runs/bert/config.yaml": "masked_lm",
    }
    given |= {f"runs/{name}/config.yaml": kind for name, kind in CLASSIFIERS.items()}
    for name, kind in given.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"fit: {{epochs: 1}}\nmodel: {{kind: {kind}}}\n")
    monkeypatch.chdir(tmp_path)

    def ends_when_parsed(parser):
        parse = parser.parse_args

        def parse_only(self, arguments=None, *more, **options):
            parse(self, arguments, *more, **options)
            raise Accepted

        monkeypatch.setattr(parser, "parse_args", parse_only)

    # A benchmark that runs where the programs' packages are not has Python's own parser.
    ends_when_parsed(argparse.ArgumentParser)
    ends_when_parsed(command_line.Parser)


# Runs of the docs -> their kind of model.
RUNS = {
    "runs/shakespeare": "causal_lm",
    **{f"runs/{name}": kind for name, kind in CLASSIFIERS.items()},
    "runs/names": "tagger",
    "runs/minilm": "text_embedder",
    "runs/t5": "transformer",
}


@pytest.mark.parametrize(("page", "module", "arguments"), commands())
def test_a_command_is_accepted(only_parsed, monkeypatch, page, module, arguments):
    program = importlib.import_module(module)
    monkeypatch.setattr("sys.argv", [module, *arguments])
    # Which options `predict` and `classify` have depends on the run.
    monkeypatch.setattr("training.run_folder.load_config", lambda run, *_: config_class(RUNS[run])())
    with pytest.raises(Accepted):
        program.main()


def test_commands_are_written_as_they_work_in_any_folder():
    for page in [*PAGES, "SECURITY.md"]:
        text = (ROOT / page).read_text(encoding="utf-8")
        blocks = "\n".join(BLOCK.findall(text))
        only_in_a_clone = r"python -m (?:training|serving)\.|--(?:config|space) training/"
        assert not re.findall(only_in_a_clone, blocks), page
        named = re.findall(r"`(python -m (?:training|serving)\.[^`]+)`", text)
        assert not named or page in ("README.md", "docs/architecture.md"), f"{page}: {named}"


def test_there_are_commands():
    assert len(list(commands())) > 20
