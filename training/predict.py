"""Uses a run, whatever it is of: translates, continues, fills, tags or embeds texts, describes images, ...

python -m training.predict --run RUN [...]

What else can be given depends on the run: with --run, --help says it. translate, generate, fill, caption and
classify are the same for runs of one kind.
"""

import argparse
import inspect

import command_line
from training import run_folder, tasks


def main(arguments=None, *kinds: str) -> None:
    """Reads the command line and predicts.

    Args:
        arguments: of the command line; `sys.argv` if None.
        kinds: of the models that the command is for, one of each task. Of several, and if there are none, the
            run decides.
    """
    own = [tasks.of(kind) for kind in kinds]
    task = own[0] if len(own) == 1 else None
    if task is None:
        given = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        given.add_argument("--run", nargs="?")
        run = given.parse_known_args(arguments)[0].run
        if run is not None:
            task = tasks.of(run_folder.load_config(run, *own).model.kind)
    program = own[0].command if own else "training.predict"
    about = __doc__
    if task is not None or own:
        texts = [inspect.cleandoc(each.about) for each in ([task] if task else own)]
        about = "\n\n".join(texts).replace((task or own[0]).command, program)
    parser = command_line.parser(program, about)
    parser.add_argument("--run", type=str, required=True, help="run folder that training.train made")
    command_line.add_checkpoint(parser)
    if task is not None:
        task.add_options(parser)
    options = parser.parse_args(arguments)
    task.predict(options, run_folder.load_config(options.run, *own))


if __name__ == "__main__":
    command_line.run(main)
