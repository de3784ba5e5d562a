"""Uses a run, whatever it is of: translates, continues or fills texts, describes or classifies images.

python -m training.predict --run RUN [...]

What else can be given depends on the run: with --run, --help says it. translate, generate, fill, caption and
classify are the same for runs of one kind.
"""

import argparse
import inspect

import command_line
from training import run_folder, tasks


def main(arguments=None, kind: str | None = None) -> None:
    """Reads the command line and predicts.

    Args:
        arguments: of the command line; `sys.argv` if None.
        kind: of the model that the command is for, or of another that is used in the same way; if None, what
            the run is decides.
    """
    task = None if kind is None else tasks.of(kind)
    if task is None:
        given = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        given.add_argument("--run", nargs="?")
        run = given.parse_known_args(arguments)[0].run
        if run is not None:
            task = tasks.of(run_folder.load_config(run).model.kind)
    program = "training.predict" if kind is None else task.command
    description = __doc__ if task is None else inspect.cleandoc(task.about).replace(task.command, program)
    parser = command_line.parser(program, description)
    parser.add_argument("--run", type=str, required=True, help="run folder that training.train made")
    command_line.add_checkpoint(parser)
    if task is not None:
        task.add_options(parser)
    options = parser.parse_args(arguments)
    task.predict(options, run_folder.load_config(options.run, task))


if __name__ == "__main__":
    command_line.run(main)
