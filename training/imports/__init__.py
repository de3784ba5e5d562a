"""Folders of models that were trained elsewhere, a file here for each family; see `training.import_weights`.

A family is a module with `read(source: SourceFolder) -> Imported`.
"""

# `model_type` of config.json -> the module here that reads such a folder.
FAMILIES = {
    "bert": "bert",
    "marian": "marian",
    "mt5": "t5",
    "opennmt_tf": "opennmt",
    "t5": "t5",
    "torch_transformer": "torch_transformer",
}
