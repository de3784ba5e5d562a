"""Makes a preset of a finished run: python presets/make.py --run RUN --name NAME --about WORDS --card CARD.md

The folder keeps the model without its optimizer and with weights in half precision, the tokenizers and the
configuration without paths of this machine; the sums of its files go into the index.
"""

import argparse
import hashlib
import json
import shutil
import tempfile
import zipfile
from pathlib import Path

import h5py
import yaml

from command_line import quiet

PACKAGE = Path(__file__).parent / "keras_transformer_presets"
INDEX = PACKAGE / "index.json"


def main(arguments=None):
    """Reads the command line, and writes the folder and the index."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--run", type=Path, required=True, help="run folder that keras-transformer train made"
    )
    parser.add_argument("--name", required=True, help="of the preset")
    parser.add_argument("--about", required=True, help="what it does, in a few words")
    parser.add_argument(
        "--card", type=Path, required=True, help="Markdown: data, licence, recipe, figures, limits"
    )
    options = parser.parse_args(arguments)
    folder = PACKAGE / options.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if any((options.run / "tokenizer").iterdir()):  # images have none
        shutil.copytree(options.run / "tokenizer", folder / "tokenizer")
    shutil.copy(options.run / "pipeline.json", folder)
    shutil.copy(options.card, folder / "CARD.md")
    config = yaml.safe_load((options.run / "config.yaml").read_text(encoding="utf-8"))
    (folder / "config.yaml").write_text(yaml.safe_dump(without_paths(config), sort_keys=False), "utf-8")
    write_model(options.run / "model.keras", folder / "model.keras")

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    index = json.loads(INDEX.read_text(encoding="utf-8")) if INDEX.exists() else {}
    index[options.name] = {"about": options.about, "files": sums}
    INDEX.write_text(json.dumps(dict(sorted(index.items())), indent=1) + "\n", encoding="utf-8")
    print(f"{folder}: {sum(path.stat().st_size for path in files):,} bytes")


def without_paths(value):
    """A configuration whose files have names alone."""
    if isinstance(value, dict):
        return {key: without_paths(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_paths(item) for item in value]
    return Path(value).name if isinstance(value, str) and value.startswith("/") else value


def write_model(source, target):
    """Writes a model again, of float32: without optimizer, its weights as float16, which any Keras reads."""
    with quiet.start_up():
        from keras_transformer.saving import model_files
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "model.keras"
        model_files.save_model(model_files.load_model(source), whole)
        with zipfile.ZipFile(whole) as archive:
            archive.extractall(scratch)
        weights = Path(scratch) / "model.weights.h5"
        half = Path(scratch) / "half.h5"
        with h5py.File(weights) as given, h5py.File(half, "w") as written:
            copy_half(given, written)
        # What was trained in bfloat16 is computed in float32: CPUs without bfloat16 are slow at it.
        config = (Path(scratch) / "config.json").read_text(encoding="utf-8")
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("config.json", config.replace('"mixed_bfloat16"', '"float32"'))
            archive.write(Path(scratch) / "metadata.json", "metadata.json")
            archive.write(half, "model.weights.h5")


def copy_half(given, written):
    """A group of HDF5 with all in it, float32 as float16."""
    written.attrs.update(given.attrs)
    for name, item in given.items():
        if isinstance(item, h5py.Group):
            copy_half(item, written.create_group(name))
        else:
            dtype = "float16" if item.dtype == "float32" else item.dtype
            written.create_dataset(name, data=item[()].astype(dtype)).attrs.update(item.attrs)


if __name__ == "__main__":
    main()
