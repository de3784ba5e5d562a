"""Folders of BERT with a head that does not fit: refused in a line."""

import json
import re

import numpy as np
import pytest

from tests import bert_folder
from training import import_weights
from training.imports import bert
from training.imports.source_folder import SourceFolder


def without(kind, name):
    return {x: w for x, w in bert_folder.head_weights(kind).items() if x != name}


# What is wrong -> (kind, tensors, changes of config.json, what the refusal says).
FOLDERS = {
    "an unknown architecture": (
        "text_classifier",
        None,
        {"architectures": ["BertForQuestionAnswering"]},
        r"architectures of config.json must be one of BertModel, BertForMaskedLM, .*BertForQuestionAnswering",
    ),
    "architectures that are none": ("tagger", None, {"architectures": {"x": 1}}, "architectures of"),
    "labels with a gap": ("tagger", None, {"id2label": {"0": "a", "2": "b"}}, "by its number from 0 on"),
    "labels that are no texts": ("tagger", None, {"id2label": {"0": "a", "1": 2}}, "a name, by its"),
    "no labels": ("tagger", None, {"id2label": {}}, "must give each class a name"),
    "labels in a list": ("tagger", None, {"id2label": ["a", "b", "c"]}, "must give each class a name"),
    "one label": ("text_classifier", None, {"id2label": {"0": "a"}}, "at least two classes"),
    "one label twice": ("tagger", None, {"id2label": dict.fromkeys("012", "a")}, "a name of its own"),
    "another number of labels": (
        "text_classifier",
        None,
        {"id2label": {"0": "a", "1": "b"}},
        r"classifier.weight must have the shape \(2, 12\), by config.json. Received: \(3, 12\)",
    ),
    "another number of tags": (
        "tagger",
        None,
        {"id2label": {str(x): str(x) for x in range(4)}},
        r"classifier.weight must have the shape \(4, 12\), by config.json. Received: \(3, 12\)",
    ),
    "too many labels": ("tagger", None, {"id2label": None, "num_labels": 2**60}, "Received: 1152921"),
    "several answers": (
        "text_classifier",
        None,
        {"problem_type": "multi_label_classification"},
        "`problem_type` of config.json must be None or 'single_label_classification'",
    ),
    "no pooler": (
        "text_classifier",
        without("text_classifier", "bert.pooler.dense.weight"),
        {},
        "must hold the tensor pooler.dense.weight",
    ),
    "no classifier": (
        "tagger",
        without("tagger", "classifier.bias"),
        {},
        "must hold the tensor classifier.bias",
    ),
    "no bias of the logits": (
        "masked_lm",
        without("masked_lm", "cls.predictions.bias"),
        {},
        "must hold the tensor cls.predictions.bias",
    ),
    "logits of their own": ("masked_lm", None, {"tie_word_embeddings": False}, "`tie_word_embeddings` of"),
    "a surplus tensor": (
        "tagger",
        bert_folder.head_weights("tagger") | {"qa_outputs.bias": np.zeros(2, "float32")},
        {},
        "the first of them 'qa_outputs.bias'",
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_does_not_fit_is_refused_in_a_line_and_leaves_nothing(tmp_path, fails, name):
    kind, tensors, config, message = FOLDERS[name]
    source = bert_folder.make(tmp_path / "source", **bert_folder.with_head(kind, tensors, **config))
    said = fails(import_weights.main, source, "--output", tmp_path / "run")
    assert re.search(message, said), said
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_masked_language_model_needs_a_mask(tmp_path):
    files = bert_folder.with_head("masked_lm")
    whole = json.loads(files["tokenizer.json"])
    whole["model"]["vocab"]["[x]"] = whole["model"]["vocab"].pop("[MASK]")
    with pytest.raises(ValueError, match="must hold its mask, .MASK.*24 pieces without"):
        bert.read(SourceFolder(bert_folder.make(tmp_path, **files | {"tokenizer.json": whole})))
