"""Which command is for which kind of run, and what of its attention each kind of translator has."""

import importlib

import pytest

from training import tasks, translate
from training.tasks import KINDS


def test_every_kind_is_used_by_a_command():
    for kind in KINDS:
        program = importlib.import_module(tasks.of(kind).command)
        assert kind in tasks.of(kind).models and callable(program.main)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("{kind: rnn_seq2seq, num_layers: 3}", ["--layer", "1"], "`layer` must be from 0 to 0."),
        ("{kind: rnn_seq2seq}", ["--head", "1"], "`head` must be from 0 to 0. Received: head=1."),
        ("{kind: conv_seq2seq, num_layers: 3}", ["--layer", "3"], "`layer` must be from 0 to 2."),
        ("{kind: conv_seq2seq}", ["--head", "-1"], "`head` must be from 0 to 0. Received: head=-1."),
        ("{kind: transformer, num_heads: 2, hidden_dim: 8}", ["--head", "2"], "`head` must be from 0 to 1."),
        (
            "{kind: rnn_seq2seq, attention: none}",
            [],
            "--with_alignments is for models with attention. Received: model.attention none.",
        ),
    ],
)
def test_layers_and_heads_are_those_that_the_kind_has(fails, tmp_path, model, options, message):
    (tmp_path / "config.yaml").write_text(f"model: {model}\n")
    assert message in fails(translate.main, "--run", tmp_path, "7", "--with_alignments", *options)
