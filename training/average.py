"""Averages the weights of a run's checkpoints: python -m training.average --run RUN [--select best] [--num 5]

The result is a new run folder with the run's configuration and tokenizers, whose model.keras has the mean
weights; every command takes it like any other. The run itself stays as it is.
"""

from pathlib import Path
from typing import Literal

import command_line
from command_line import quiet
from training import run_folder, run_lock


def main(arguments=None) -> None:
    """Reads the command line and averages."""
    parser = command_line.parser("training.average", __doc__)
    parser.add_argument("--run", type=str, required=True, help="run folder that training.train made")
    parser.add_argument(
        "--select",
        type=Literal["last", "best"],
        help="the newest checkpoints, or those with the best checkpoints.monitor; default: last",
    )
    parser.add_argument("--num", type=int, help="so many of them; all that were kept if absent")
    parser.add_argument(
        "--checkpoints",
        type=str,
        nargs="+",
        metavar="NAME",
        help="these files in the run's checkpoints/ instead",
    )
    parser.add_argument("--output", type=str, help="run folder to make; default: RUN-average")
    options = parser.parse_args(arguments)
    if options.checkpoints and (options.select or options.num is not None):
        raise ValueError("Give --checkpoints, or --select and --num. Received: both.")
    run = Path(options.run)
    output = Path(options.output or run.with_name(f"{run.absolute().name}-average"))
    average(run, output, options.select or "last", options.num, options.checkpoints)


def average(run, output, select="last", num=None, names=None) -> None:
    """Writes a run folder with the mean of a run's checkpoints.

    Args:
        run: a run folder.
        output: the folder to make.
        select: "last" or "best".
        num: so many checkpoints, >= 1; all that were kept if None.
        names: files in the run's checkpoints/ in place of a selection.

    Raises:
        ValueError: `run` is no run folder or has no such checkpoints, they do not fit together, or `output`
            exists.
    """
    run, output = Path(run), Path(output)
    run_folder.load_config(run)
    if output.exists():
        raise ValueError(f"The run folder to write must not exist. Received: {output}, which does.")
    with quiet.start_up():
        from keras_transformer.saving import checkpoints
    if names:
        paths = sorted({checkpoints.checkpoint_path(run, name) for name in names})
    else:
        checkpoints.checkpoint_path(run, select)  # tells if there is none
        paths = checkpoints.choose(run / "checkpoints", select)
        if num is not None and not 1 <= num <= len(paths):
            raise ValueError(
                f"`num` must be from 1 to the number of checkpoints to select from, {select}: {len(paths)}. "
                f"Received: num={num}, for {run}."
            )
        paths = checkpoints.choose(run / "checkpoints", select, num)
    with run_lock.held(output):
        if output.exists():
            raise ValueError(f"The run folder to write must not exist. Received: {output}, which does.")
        run_folder.make_from(run, output, checkpoints.average(paths))
    print(f"run folder: {output}, mean of {', '.join(path.name for path in paths)}")


if __name__ == "__main__":
    command_line.run(main)
