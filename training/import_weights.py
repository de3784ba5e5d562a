"""Makes a run of a model that was trained elsewhere: python -m training.import_weights FOLDER --output RUN

FOLDER is what the library transformers calls a pretrained model: config.json, the tokenizer's files and
weights: model.safetensors, in one part or several, else tf_model.h5, else pytorch_model.bin or model.pt, if
PyTorch is installed; or a checkpoint of OpenNMT-tf with its YAML and vocabularies. Nothing is downloaded, and
nothing in it is run. What comes out is a run folder like one of training.train: training.predict uses it,
serving.export exports it.

Of the model_type bert (BERT, MiniLM and others with the same names), by its head: a masked language model,
which fills gaps; a classifier of texts; a tagger of words; without a head, and in a folder of
sentence-transformers, a text embedder, texts to vectors. Of the model_types marian (OPUS-MT), t5, mt5,
opennmt_tf and torch_transformer (PyTorch's nn.Transformer, see docs/pretrained.md): a translator, which can
also be measured and trained further.
"""

import contextlib
import importlib
import os
from pathlib import Path

import command_line
from command_line import quiet
from training.imports import FAMILIES

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


def main(arguments=None) -> None:
    """Reads the command line and imports."""
    parser = command_line.parser("training.import_weights", __doc__)
    parser.add_argument("folder", type=str, metavar="FOLDER", help="with config.json and weights")
    parser.add_argument("--output", type=str, required=True, help="run folder, which must not exist")
    options = parser.parse_args(arguments)
    with _freed_memory_given_back():
        import_weights(options.folder, options.output)


@contextlib.contextmanager
def _freed_memory_given_back():
    """With oneDNN TensorFlow keeps memory that it has freed; nothing here needs its products."""
    if ONEDNN in os.environ:
        yield
        return
    os.environ[ONEDNN] = "0"  # read when TensorFlow is imported
    try:
        yield
    finally:
        del os.environ[ONEDNN]


def import_weights(folder, output) -> Path:
    """Writes the run folder, whole or not at all.

    Args:
        folder: with config.json, a tokenizer and weights.
        output: the run folder; it must not exist.

    Returns:
        `output`.

    Raises:
        ValueError: the folder is of no known family, or something in it is missing, surplus, damaged or not
            supported; or there is an `output`.
        OSError: a file cannot be read or written.
    """
    output = Path(output)
    if output.exists():
        raise ValueError(f"`output` must not exist. Received: {output}, which does.")
    with quiet.start_up():
        from training import run_folder
        from training.imports.source_folder import SourceFolder

        source = SourceFolder(folder)
        model_type = source.config["model_type"]
        if model_type not in FAMILIES:
            raise ValueError(
                f"model_type of config.json must be one of {', '.join(FAMILIES)}. "
                f"Received: {model_type!r:.80}."
            )
        family = importlib.import_module(f"training.imports.{FAMILIES[model_type]}")
        imported = family.read(source)
    provenance = source.provenance() | {"left_out": imported.left_out}
    run_folder.make_imported(output, imported, provenance)
    licence = provenance["licence"] or "not named"
    print(f"imported: {model_type}, {imported.model.count_params():,} parameters; licence: {licence}")
    if imported.left_out:
        print(f"left out: {', '.join(imported.left_out)}")
    print(f"run folder: {output}")
    return output


if __name__ == "__main__":
    command_line.run(main)
