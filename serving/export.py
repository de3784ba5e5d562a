"""Exports a run as a SavedModel for TF Serving: python -m serving.export --run RUN --output DIR

Text in, text out: tokenizers, model and search are inside. Each export is a new version: DIR/1, DIR/2, ...
The signatures of translators are translate (also called serving_default), translate_nbest, score, align and
tokens; language models generate, captioners caption, image classifiers classify.
"""

from pathlib import Path

import yaml

import command_line
from command_line import quiet
from command_line.search_options import SearchOptions

# Kinds of models that translate: they share `serving.signatures`.
TRANSLATORS = ("transformer", "rnn_seq2seq", "conv_seq2seq")


def main(arguments=None):
    """Reads the command line and exports."""
    parser = command_line.parser("serving.export", __doc__)
    command_line.add_run(parser)
    command_line.add_checkpoint(parser)
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
    parser.add_argument(
        "--layer", type=int, help="decoder layer whose attention `align` returns, from 0; the mean if absent"
    )
    parser.add_argument(
        "--head", type=int, help="head whose attention `align` returns, from 0; the mean if absent"
    )
    parser.add_class_arguments(SearchOptions, as_group=False)
    options = parser.parse_args(arguments)
    search = SearchOptions.read(options)
    export(
        options.run,
        options.output,
        options.version,
        search,
        options.ensemble,
        options.layer,
        options.head,
        options.checkpoint,
    )


def export(
    run_folder, output, version=None, search=None, ensemble=(), layer=None, head=None, checkpoint=None
) -> Path:
    """Writes a run's model as a new version of a served model.

    Args:
        run_folder: what `training.train` made.
        output: folder of the model's versions; made if absent.
        version: number of the version, > 0; one more than the newest if None.
        search: `SearchOptions`, how the exported model decodes; `n_best` is the N of its signatures. Beam
            search as in Vaswani et al. 2017 if None.
        ensemble: further run folders, with the same tokenizers.
        layer, head: which attention `align` returns, see `serving.signatures`.
        checkpoint: which model of the run: "best", "last" or a file in checkpoints/; model.keras if None.

    Returns:
        The version's folder, `output`/`version`.

    Raises:
        ValueError: `run_folder` is no run folder or has no such checkpoint, `output` is no folder, `version`
            is not positive or exists already, an option of the search is out of range, there is no such
            layer or head, or the model has an op that TF Serving does not know. Nothing is left behind.
    """
    with quiet.start_up():
        from keras_transformer.translator import Translator
        from serving import saved_model, signatures, zoo_signatures

    # Before the model is loaded: a wrong number is told at once.
    version = saved_model.choose_version(output, version)
    search = search or SearchOptions()
    kind = kind_of(run_folder)
    if kind not in TRANSLATORS:
        for name, value in (("ensemble", ensemble), ("layer", layer), ("head", head)):
            if value not in (None, (), []):
                raise ValueError(f"`{name}` is for translators. Received: {name}={value}, and a {kind}.")
        if kind not in zoo_signatures.KINDS:
            raise ValueError(
                f"What is exported must be one of {', '.join((*TRANSLATORS, *zoo_signatures.KINDS))}. "
                f"Received: {run_folder}, a {kind}."
            )
        served = zoo_signatures.KINDS[kind](run_folder, search.search, checkpoint)
        return _written(served.functions, served.resources, served.warm_up, output, version)
    translator = Translator.from_run(run_folder, search.search, ensemble, checkpoint)
    functions = signatures.functions(translator, layer, head)
    resources = [translator.tf_variables, translator.source_tokenizer, translator.target_tokenizer]
    requests = signatures.warm_up(translator, functions)
    return _written(functions, resources, requests, output, version)


def kind_of(run_folder) -> str:
    """The kind of a run's model.

    Raises:
        ValueError: the folder is no run folder.
    """
    path = Path(run_folder) / "config.yaml"
    if not path.is_file():
        raise ValueError(f"A run folder holds config.yaml. Received: {run_folder}, which does not.")
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(config, dict) or not isinstance(config.get("model", {}), dict):
        raise ValueError(f"config.yaml must be what training.train wrote. Received: {path}, which is not.")
    return config.get("model", {}).get("kind", TRANSLATORS[0])


def _written(functions, resources, requests, output, version) -> Path:
    from serving import saved_model

    folder = saved_model.write(functions, resources, requests, output, version)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"exported: {folder} ({size / 1e6:.1f} MB): {', '.join(functions)}")
    return folder


if __name__ == "__main__":
    command_line.run(main)
