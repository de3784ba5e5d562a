"""Exports a run as a SavedModel for TF Serving: python -m serving.export --run RUN --output DIR

Text in, text out: tokenizers, model and search are inside. Each export is a new version: DIR/1, DIR/2, ...
The signatures of translators are translate (also called serving_default), translate_nbest, score, align and
tokens; language models generate, captioners caption, image classifiers classify.
"""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Literal

import command_line
from command_line import quiet
from command_line.search_options import SearchOptions
from serving import versions, xla
from serving.limits import Limits

# How the files of a SavedModel may hold weights, see `serving.small_weights`.
WEIGHTS = ("float32", "int8", "float16", "bfloat16")
# How CTranslate2 may store weights.
QUANTIZATIONS = ("float32", "float16", "int16", "int8", "int8_float32", "int8_float16")


def main(arguments=None) -> None:
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
        type=str,
        help="number of the version, > 0, which must not exist; one more than the newest if absent",
    )
    parser.add_argument(
        "--layer", type=int, help="decoder layer whose attention `align` returns, from 0; the mean if absent"
    )
    parser.add_argument(
        "--head", type=int, help="head whose attention `align` returns, from 0; the mean if absent"
    )
    parser.add_argument(
        "--keep",
        type=int,
        help="versions that are kept, > 0, the new one among them: older ones are removed once it is there; "
        "all if absent",
    )
    parser.add_argument(
        "--format",
        type=Literal["saved_model", "ctranslate2", "onnx", "huggingface"],
        default="saved_model",
        help="saved_model for TF Serving; ctranslate2, onnx (encoder and one decoding step) or huggingface "
        "(a Marian folder of transformers): OUTPUT is then the folder of one model, which must not exist, "
        "without search and limits",
    )
    parser.add_argument(
        "--quantization",
        type=Literal[QUANTIZATIONS],
        help="of the format ctranslate2: how weights are stored; float32 if absent",
    )
    parser.add_argument(
        "--weights",
        type=Literal[WEIGHTS],
        default="float32",
        help="of the format saved_model: how the files hold kernels and embeddings, which are float32 in "
        "memory; what that changes is told, see --test_files",
    )
    parser.add_argument(
        "--test_files",
        type=str,
        nargs="+",
        default=[],
        metavar="FILE",
        help="what the change by --weights is measured on, as --files of training.evaluate; the run's test "
        "data if absent, else its validation data",
    )
    parser.add_argument(
        "--xla",
        action="store_true",
        help="the search compiled by XLA, for the shapes of the next two options; a server on CPUs must be "
        f"started with {xla.SERVER_FLAG}",
    )
    parser.add_argument(
        "--xla_rows",
        type=list[int],
        help=f"with --xla: rows that requests are filled up to; {list(xla.ROWS)} if absent",
    )
    parser.add_argument(
        "--xla_lengths",
        type=list[int],
        help=f"with --xla: tokens that texts are filled up to; {xla.LENGTH} and the longest if absent",
    )
    parser.add_class_arguments(Limits, as_group=False)
    parser.add_class_arguments(SearchOptions, as_group=False)
    options = parser.parse_args(arguments)
    search = SearchOptions.read(options)
    if options.quantization is not None and options.format != "ctranslate2":
        raise ValueError(f"`quantization` is of the format ctranslate2. Received: format {options.format}.")
    if options.weights != "float32" and options.format != "saved_model":
        other = "; it has --quantization" if options.format == "ctranslate2" else ""
        raise ValueError(
            "`weights` is of the format saved_model. "
            f"Received: weights={options.weights}, for the format {options.format}{other}."
        )
    if options.test_files and options.weights == "float32":
        raise ValueError(
            f"`test_files` are for small weights. Received: weights=float32, {len(options.test_files)} files."
        )
    if options.format != "saved_model":
        export_elsewhere(options, search)
        return
    export(
        options.run,
        options.output,
        versions.given(options.version),
        search,
        options.ensemble,
        options.layer,
        options.head,
        options.checkpoint,
        Limits.read(options),
        options.keep,
        options.weights,
        options.test_files,
        xla.Shapes.read(options),
    )


def export_elsewhere(options, search) -> None:
    """Writes the run's model for another runtime, as the command's options say.

    Raises:
        ValueError: an option has no meaning there, or that runtime cannot represent the model.
    """
    # What is chosen when the model is used, or is not a part of it.
    given = [
        name
        for name in ("version", "ensemble", "layer", "head", "keep", "xla", "xla_rows", "xla_lengths")
        # A head may be 0, which is False for Python's `in`.
        if options[name] is not False and options[name] not in (None, [])
    ]
    given += ["search"] * (search != SearchOptions()) + ["limits"] * (Limits.read(options) != Limits())
    if given:
        raise ValueError(
            f"A model of the format {options.format} has no versions, ensemble, alignment, "
            "compiled shapes, search or limits. "
            f"Received: {', '.join(given)}."
        )
    with quiet.start_up():
        from keras_transformer.saving import run_files
        from serving import ctranslate2_format, huggingface_format, onnx_format
    kind = run_files.kind(options.run)
    if kind != "transformer":
        raise ValueError(
            f"A model of the format {options.format} must be a transformer. "
            f"Received: {options.run}, of the kind {kind}."
        )
    if options.format == "onnx":
        folder = onnx_format.export(options.run, options.output, options.checkpoint)
    elif options.format == "huggingface":
        folder = huggingface_format.export(options.run, options.output, options.checkpoint)
    else:
        quantization = None if options.quantization == "float32" else options.quantization
        folder = ctranslate2_format.export(options.run, options.output, quantization, options.checkpoint)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"exported: {folder} ({size / 1e6:.1f} MB): {options.format}, {options.quantization or 'float32'}")


def export(
    run_folder,
    output,
    version=None,
    search=None,
    ensemble=(),
    layer=None,
    head=None,
    checkpoint=None,
    limits=None,
    keep=None,
    weights="float32",
    test_files=(),
    shapes=None,
) -> Path:
    """Writes a run's model as a new version of a served model.

    Args:
        run_folder: what `training.train` made.
        output: folder of the model's versions; made if absent.
        version: number of the version, from 1 to 2**63 - 1; one more than the newest if None.
        search: `SearchOptions`, how the exported model decodes; `n_best` is the N of its signatures. Beam
            search as in Vaswani et al. 2017 if None.
        ensemble: further run folders, with the same tokenizers.
        layer, head: which attention `align` returns, see `Translator.align`.
        checkpoint: which model of the run: "best", "last" or a file in checkpoints/; model.keras if None.
        limits: how large a request may be; `Limits()` if None.
        keep: versions that are kept; those beyond it that are older than the new one are removed. All if
            None.
        weights: one of `WEIGHTS`, how the files hold kernels and embeddings. What small ones change is
            printed.
        test_files: what that is measured on; the run's own data if empty.
        shapes: `xla.Shapes` for which XLA compiles the search; None for a graph that any server runs.

    Returns:
        The version's folder, `output`/`version`.

    Raises:
        ValueError: `run_folder` is no run folder or has no such checkpoint, a weight is not finite, `output`
            is no folder, `version` is out of range or exists already, an option of the search or a limit is
            out of range, there is no such layer or head, small weights are asked for of an ensemble, a weight
            is too large for them, the files cannot be measured, or the model has an op that TF Serving does
            not know. Nothing is left behind.
        OSError: `output` cannot be written; the same.
    """
    with quiet.start_up():
        from keras_transformer import pipelines
        from keras_transformer.saving import run_files
        from serving import checksums, saved_model, small_weights, weights_change

    # Before the model is loaded: a wrong number is told at once.
    saved_model.choose_version(output, version)
    if keep is not None and keep < 1:
        raise ValueError(f"`keep` must be a positive integer. Received: keep={keep}.")
    if weights != "float32" and ensemble:
        raise ValueError(
            "Small weights are of one model. "
            f"Received: weights={weights}, for an ensemble of {1 + len(ensemble)}."
        )
    options, limits = search or SearchOptions(), limits or Limits()
    kind = run_files.kind(run_folder)
    pipeline, search = pipelines.of(kind), partial(_search, options)
    given = {"search": search} if pipeline.decodes else {}
    attended = {}
    if pipeline.translates:
        given["others"], attended = ensemble, {"layer": layer, "head": head}
    else:
        for name, value in (("ensemble", ensemble), ("layer", layer), ("head", head)):
            if value not in (None, (), []):
                raise ValueError(
                    f"`{name}` is for translators. Received: {name}={value}, for the kind {kind}."
                )
    loaded, small = pipeline.from_run(run_folder, checkpoint=checkpoint, **given), []
    facts = {} if shapes is None else shapes.put_into(loaded, kind, limits.max_rows)
    if weights != "float32":
        loaded.tf_variables = small_weights.of(loaded.model, weights)
        small = [found for found in loaded.tf_variables if isinstance(found, small_weights.SmallWeight)]
    served = loaded.served(limits, **attended)
    if small:
        print(f"{weights}: {weights_change.of_answers(loaded, served, small)}", flush=True)
        decoded = options if pipeline.decodes else None
        for line in weights_change.of_measures(run_folder, checkpoint, loaded.model, decoded, test_files):
            print(line.replace("small:", f"{weights}:", 1), flush=True)
    if shapes is not None:
        print(xla.compile_all(served.functions, served.warm_up))
    folder = saved_model.write(
        served.functions,
        served.resources,
        served.warm_up,
        output,
        version,
        served.samples,
        {**_facts(kind, served), **facts, "weights": weights},
    )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    saved = sum(weight.saved_bytes for weight in small)
    of_float32 = f", with float32 weights {(size + saved) / 1e6:.1f} MB" if small else ""
    print(
        f"exported: {folder} ({size / 1e6:.1f} MB{of_float32}): {', '.join(served.functions)}; "
        f"sha256 of {checksums.CHECKSUM_FILE}: {checksums.digest(folder / checksums.CHECKSUM_FILE)}"
    )
    if keep is not None:
        for removed in saved_model.remove_older(output, int(folder.name), keep):
            print(f"removed: {removed}")
    return folder


def _search(options, max_length):
    """The search of the options; one that draws does so anew at each request, unless a seed was given."""
    search = options.search(max_length)
    draws = "seed" in {field.name for field in dataclasses.fields(search)}
    return dataclasses.replace(search, seed=options.seed) if draws else search


def _facts(kind, served) -> dict:
    """What the manifest says of this model."""
    search = served.search and {"kind": type(served.search).__name__, **dataclasses.asdict(served.search)}
    return {"kind": kind, "search": search, "limits": served.limits}


if __name__ == "__main__":
    command_line.run(main)
