"""What the library says of packages that are not installed, and of a project with its import name."""

import importlib
import sys

import pytest

import keras_transformer
from keras_transformer.installation import MissingPackage, needs
from keras_transformer.saving.run_files import length

FROM_TEXT = ["translator", "text_generator", "mask_filler", "captioner", "image_classifier", "text_graphs"]


@pytest.mark.parametrize(
    ("module", "package", "extra", "parts"),
    [
        ("keras_transformer.attention_maps", "matplotlib.figure", "plot", []),
        ("keras_transformer.quality", "sacrebleu", "training", []),
        (
            "keras_transformer.tokenizers",
            "tensorflow_text",
            "text",
            ["keras_transformer.tokenizers.sentencepiece"],
        ),
        ("training.hypermodels", "keras_tuner", "tuning", []),
        *[(f"keras_transformer.pipelines.{module}", "tensorflow", "text", []) for module in FROM_TEXT],
    ],
)
def test_a_package_that_is_not_installed_is_told_with_its_extra(monkeypatch, module, package, extra, parts):
    monkeypatch.setitem(sys.modules, package, None)
    for name in (module, *parts):
        monkeypatch.delitem(sys.modules, name, raising=False)
    name = package.partition(".")[0]
    with pytest.raises(MissingPackage, match=f"The package {name} must be installed") as error:
        importlib.import_module(module)
    assert f'pip install ".[{extra}]" in a clone.' in str(error.value)


def test_without_yaml_a_run_folder_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingPackage, match=r'The package yaml must .*"\.\[text\]" in a clone'):
        length(tmp_path, "max_length")


def test_the_first_extra_that_is_missing_is_the_one_that_is_told():
    with pytest.raises(MissingPackage, match=r"\[text\]"), needs("training"), needs("text"):
        raise ModuleNotFoundError("No module named 'sentencepiece'", name="sentencepiece")


def test_another_project_of_this_name_is_told_when_the_library_is_imported(tmp_path, monkeypatch):
    importlib.reload(keras_transformer)  # nothing, else it would be an error here
    theirs = tmp_path / "keras_transformer-0.40.0.dist-info"
    theirs.mkdir()
    (theirs / "METADATA").write_text("Metadata-Version: 2.1\nName: keras-transformer\nVersion: 0.40.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(UserWarning, match="keras-transformer 0.40.0 is another project") as warned:
        importlib.reload(keras_transformer)
    assert len(warned) == 1
