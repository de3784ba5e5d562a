"""Exports a run as a SavedModel for TF Serving: python -m serving.export --run RUN --output DIR

Text in, text out; the tokenizer is inside. Each export is a new version: DIR/1, DIR/2, ...
"""

from pathlib import Path

import command_line
from command_line import quiet


def main(arguments=None):
    """Reads the command line and exports."""
    parser = command_line.parser("serving.export", __doc__)
    parser.add_argument("--run", type=str, required=True, help="run folder of training.train")
    parser.add_argument(
        "--output",
        type=str,
        required=True,
        help="folder of the model's versions, TF Serving's base path; made if absent",
    )
    parser.add_argument(
        "--version",
        type=int,
        help="number of the version, > 0, which must not exist; one more than the newest if absent",
    )
    options = parser.parse_args(arguments)
    export(options.run, options.output, options.version)


def export(run_folder, output, version=None) -> Path:
    """Writes a run's translator as a new version of a served model.

    Args:
        run_folder: what `training.train` made.
        output: folder of the model's versions; made if absent.
        version: number of the version, > 0; one more than the newest if None.

    Returns:
        The version's folder, `output`/`version`.

    Raises:
        ValueError: `run_folder` is no run folder, `output` is no folder, `version` is not positive or
            exists already, or the model has an op that TF Serving does not know. Nothing is left
            behind.
    """
    with quiet.start_up():
        from keras_transformer.translator import Translator
        from serving import saved_model

    # Before the model is loaded: a wrong number is told at once.
    version = saved_model.choose_version(output, version)
    folder = saved_model.write(Translator.from_run(run_folder), output, version)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"exported: {folder} ({size / 1e6:.1f} MB), text -> translation")
    return folder


if __name__ == "__main__":
    command_line.run(main)
