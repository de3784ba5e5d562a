"""The command `keras-transformer`: one name for all programs, from any folder.

`keras-transformer train` is `python -m training.train`. Nothing here imports more than the program that is
asked for, so that help answers at once.
"""

import difflib
import importlib
import sys

from keras_transformer_programs import installation, output
from keras_transformer_programs.hints import CONSOLE

# Command -> its module, and what it does. The command is the last part of the module's name.
COMMANDS = {
    "train": ("training.train", "trains a model and leaves a run folder"),
    "tune": ("training.tune", "searches for good values of a configuration"),
    "launch": ("training.launch", "trains with several processes of this machine"),
    "prepare": ("training.prepare", "tokenizes a large training set once, into files"),
    "import_weights": ("training.import_weights", "makes a run of a model that was trained elsewhere"),
    "average": ("training.average", "averages checkpoints of a run"),
    "evaluate": ("training.evaluate", "measures a run: BLEU, chrF, TER, perplexity, ..."),
    "predict": ("training.predict", "uses a run, whatever it is of"),
    "translate": ("training.translate", "translates texts with a run"),
    "synthesize": ("training.synthesize", "makes training pairs of texts that a run translates"),
    "score": ("training.score", "log-probabilities of translations that are given"),
    "generate": ("training.generate", "continues texts with a language model"),
    "fill": ("training.fill", "fills gaps with a masked language model"),
    "caption": ("training.caption", "describes images"),
    "explore": ("training.explore", "writes what a run attends to as a page to explore"),
    "curves": ("training.curves", "draws losses and measures of runs"),
    "classify": ("training.classify", "says what images show"),
    "export": ("serving.export", "writes a run for TF Serving, CTranslate2 or ONNX Runtime"),
    "verify": ("serving.verify", "checks an export before it is served"),
    "client": ("serving.client", "asks a served model, over gRPC or REST"),
    "load_test": ("serving.load_test", "loads a server and measures it"),
    "web": ("serving.web", "a page to translate with, and LibreTranslate's API, over served models"),
    "local_server": ("serving.local_server", "a test double of TF Serving"),
}
COMPLETION = "completion"


def main() -> None:
    """Runs the program that the command line names, or prints help."""
    try:
        with output.ends_quietly():
            start()
    except OSError as error:  # standard output cannot be written
        output.give_up()
        _fail(error, 1)


def start() -> None:
    """What `main` does while somebody reads."""
    command, *arguments = sys.argv[1:] or ["--help"]
    known = [*COMMANDS, COMPLETION]
    if command in ("-h", "--help"):
        print(help_text())
    elif command in COMMANDS:
        run(COMMANDS[command][0], arguments)
    elif command == COMPLETION and arguments in (["bash"], ["zsh"]):
        from keras_transformer_programs.completion import script

        print(script(known), end="")
    elif command == COMPLETION:
        _fail(f'usage: eval "$({CONSOLE} {COMPLETION} bash)", in ~/.bashrc; or zsh, in ~/.zshrc', 2)
    else:
        near = ", ".join(difflib.get_close_matches(command, known))
        where = f"Nearest: {near}; all" if near else "All"
        _fail(f"there is no command {command}. {where}: {CONSOLE} --help", 2)


def run(module: str, arguments) -> None:
    """Runs a program as `python -m` does."""
    # As if it had been started by its own name: what it says of itself begins with that.
    sys.argv[1:] = arguments
    if wrong := installation.wrong_library():
        _fail(wrong, 1)
    try:
        import command_line

        program = importlib.import_module(module)
    except ModuleNotFoundError as error:
        told = installation.explained(error)
        if told is error:
            raise
        _fail(told, 1)
    command_line.run(program.main)


def help_text() -> str:
    """All commands, a line each."""
    lines = {name: does for name, (_, does) in COMMANDS.items()}
    lines[COMPLETION] = f'completes all this in a shell: eval "$({CONSOLE} {COMPLETION} bash)", or zsh'
    width = max(map(len, lines))
    return "\n".join(
        [
            f"usage: {CONSOLE} COMMAND [options]",
            "",
            "Attention models for Keras 3: training, decoding and serving.",
            "",
            *(f"  {name:{width}}  {does}" for name, does in lines.items()),
            "",
            f"{CONSOLE} COMMAND --help explains a command.",
        ]
    )


def _fail(message, status):
    sys.stderr.write(f"error: {message}\n")
    sys.exit(status)
