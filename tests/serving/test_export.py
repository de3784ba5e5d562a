"""The command: what it writes, what it says, and what it refuses."""

import hashlib
import json
import shutil
import subprocess
import sys
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from serving import checksums, export, manifest, op_closure, saved_model


def write(base, version=1, function=tf.identity):
    """Writes a version whose only signature gives back what `function` makes of the text."""
    spec = tf.TensorSpec([None], tf.string, name="text")
    echo = tf.function(lambda text: {"echo": function(text)}, input_signature=[spec], autograph=False)
    saved_model.write({"serving_default": echo}, [tf.Variable(2.0)], [], base, version)


def test_the_command_prints_where_the_export_is_and_nothing_else(export_command):
    command, output = export_command
    assert command.returncode == 0, command.stderr
    assert command.stderr == ""
    assert command.stdout.startswith(f"exported: {output}/1 (")
    assert len(command.stdout.splitlines()) == 1


def test_what_several_signatures_need_is_in_the_graph_once(exported):
    (meta_graph,) = op_closure.read(exported / "saved_model.pb").meta_graphs
    functions = meta_graph.graph_def.library.function
    names = [function.signature.name for function in functions]
    assert sum("decode_step" in name for name in names) == 1  # there is one room, of 13 positions
    nodes = [*meta_graph.graph_def.node, *(node for function in functions for node in function.node_def)]
    assert sum(node.op == "SentencepieceOp" for node in nodes) == 1
    assert not any("_output_shapes" in node.attr for node in functions[0].node_def)


def test_a_version_folder_holds_what_tf_serving_reads_and_no_leftovers(exported):
    files = {str(path.relative_to(exported)) for path in exported.rglob("*") if path.is_file()}
    assert files == {
        "SHA256SUMS",
        "assets.extra/samples.json",
        "assets.extra/tf_serving_warmup_requests",
        "batching_params.pbtxt",
        "fingerprint.pb",
        "manifest.json",
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    }
    assert [path.name for path in exported.parent.iterdir()] == ["1"]


def test_everybody_may_read_the_version_folder(exported):
    # The server runs as another user.
    assert exported.stat().st_mode & 0o755 == 0o755


def test_the_checksums_are_those_of_every_other_file(exported):
    lines = (exported / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    listed = dict(reversed(line.split("  ")) for line in lines)
    files = {path for path in exported.rglob("*") if path.is_file()} - {exported / "SHA256SUMS"}
    assert listed == {
        str(path.relative_to(exported)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum here")
def test_sha256sum_checks_the_export(exported):
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=exported, check=True)


def test_every_op_is_one_that_tf_serving_links(exported):
    ops = op_closure.ops(exported / "saved_model.pb")
    assert {"SentencepieceOp", "SentencepieceTokenizeOp", "While"} <= ops
    assert {op for op in ops if not op_closure.is_served(op)} == (
        op_closure.SAVING_OPS | op_closure.RESTORING_OPS
    )
    # The Xla ops of keras.ops and Python functions would have been refused; nothing may slip in by name.
    assert not [op for op in ops if "xla" in op.lower() or "pyfunc" in op.lower()]


def python_upper(text):
    return tf.py_function(lambda batch: tf.strings.upper(batch), [text], tf.string)


@tf.function(jit_compile=True)
def compiled_identity(number):
    return number * 1.0


def xla_compiled(text):
    return tf.strings.as_string(compiled_identity(tf.strings.to_number(text)))


def slice_update(text):
    import keras

    zeros = tf.zeros((3,)) + tf.cast(tf.size(text), tf.float32)
    return tf.strings.as_string(keras.ops.slice_update(zeros, [1], tf.ones((1,))))


@pytest.mark.parametrize(
    "function, op",
    [(python_upper, "EagerPyFunc"), (xla_compiled, r"\(XLA\)"), (slice_update, "XlaDynamicUpdateSlice")],
)
def test_an_op_that_tf_serving_has_not_is_refused_and_nothing_is_left(tmp_path, function, op):
    with pytest.raises(ValueError, match=f"ops of TensorFlow and TF Text only.*Received:.*{op}"):
        write(tmp_path / "model", 1, function)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["function", "call"])
def test_an_xla_mark_is_seen_on_a_function_and_on_a_call(tmp_path, place):
    proto = saved_model_pb2.SavedModel()
    graph = proto.meta_graphs.add().graph_def
    function = graph.library.function.add()
    function.signature.name = "decode"
    node = function.node_def.add(op="AddV2")
    (function if place == "function" else node).attr["_XlaMustCompile"].b = True
    path = tmp_path / "saved_model.pb"
    path.write_bytes(proto.SerializeToString())
    assert (
        op_closure.ops(path)
        == {
            "function": {"decode (XLA)", "AddV2"},
            "call": {"AddV2 (XLA)"},
        }[place]
    )


def test_a_failed_export_leaves_the_older_versions_alone(tmp_path):
    write(tmp_path)
    with pytest.raises(ValueError, match="EagerPyFunc"):
        write(tmp_path, 2, python_upper)
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_the_version_appears_only_when_it_is_complete(tmp_path, monkeypatch):
    seen = []

    def spy(folder):
        seen.extend(path.name for path in tmp_path.iterdir())

    monkeypatch.setattr(checksums, "write", spy)
    write(tmp_path)
    assert len(seen) == 1 and seen[0].startswith(".")
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_versions_are_counted_on_from_the_newest(tmp_path):
    assert saved_model.choose_version(tmp_path / "absent") == 1
    for name in ("2", "0010", "best", ".incomplete-x", "³"):
        (tmp_path / name).mkdir()
    assert saved_model.choose_version(tmp_path) == 11
    assert saved_model.choose_version(tmp_path, 3) == 3


@pytest.mark.parametrize("version", [2, 10])
def test_an_existing_version_is_never_overwritten(tmp_path, version):
    (tmp_path / "2").mkdir()
    (tmp_path / "0010").mkdir()
    with pytest.raises(ValueError, match=f"never overwritten.*Received: {version},.*newest is 10"):
        saved_model.choose_version(tmp_path, version)


@pytest.mark.parametrize("version", [0, -1, 2**63, 1.0, "1"])
def test_a_version_that_is_not_positive_is_refused(tmp_path, version):
    with pytest.raises(ValueError, match=f"positive integer, at most .*Received: {version}"):
        saved_model.choose_version(tmp_path, version)


def test_an_output_that_is_a_file_is_refused(run_folder, tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match="must be a folder. Received: .*file"):
        export.export(run_folder, file)
    assert file.read_text() == "mine"


def test_a_folder_that_is_no_run_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(ValueError, match="run folder.*Received: .*pictures"):
        export.export(tmp_path / "pictures", tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_checkpoint_that_is_not_there_is_refused_and_nothing_is_written(run_folder, tmp_path):
    options = [
        "--run",
        str(run_folder),
        "--output",
        str(tmp_path / "out"),
        "--checkpoint",
        "epoch-9.keras",
    ]
    with pytest.raises(ValueError, match="Received: checkpoint='epoch-9.keras'"):
        export.main(options)
    assert not (tmp_path / "out").exists()


def test_a_missing_option_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as stop:
        export.main(["--run", "somewhere"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert "output" in error and len(error.splitlines()) == 1


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def folders(base, *names):
    for name in names:
        (base / name).mkdir(parents=True)
        (base / name / "saved_model.pb").write_text("x")


def test_old_versions_beyond_the_newest_are_removed(tmp_path):
    folders(tmp_path, "1", "2", "0003", "10", "11", "best", ".incomplete-x", "v1")
    removed = saved_model.remove_older(tmp_path, 11, keep=3)
    assert sorted(path.name for path in removed) == ["1", "2"]
    assert names(tmp_path) == [".incomplete-x", "0003", "10", "11", "best", "v1"]


def test_no_version_that_is_newer_and_no_file_is_removed(tmp_path):
    folders(tmp_path, "1", "3", "7", "8", "9")
    (tmp_path / "2").write_text("a file")
    assert [path.name for path in saved_model.remove_older(tmp_path, 3, keep=1)] == ["1"]
    assert names(tmp_path) == ["2", "3", "7", "8", "9"]


def test_what_an_interrupted_removal_left_is_removed_and_links_are_not_followed(tmp_path):
    folders(tmp_path / "served", ".removed-x", "2")
    folders(tmp_path, "elsewhere")
    (tmp_path / "served" / "1").symlink_to(tmp_path / "elsewhere")
    saved_model.remove_older(tmp_path / "served", 2, keep=1)
    assert names(tmp_path / "served") == ["2"] and names(tmp_path / "elsewhere") == ["saved_model.pb"]


def test_a_version_is_renamed_before_it_is_deleted(tmp_path, monkeypatch):
    folders(tmp_path, "1", "2")
    seen = []
    monkeypatch.setattr(saved_model.shutil, "rmtree", lambda path, **_: seen.append((path, names(tmp_path))))
    saved_model.remove_older(tmp_path, 2, keep=1)
    ((path, there),) = seen
    assert path.name.startswith(".removed-") and there == [path.name, "2"]


def test_the_command_keeps_so_many_and_refuses_none(run_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "write_samples", lambda *_: None)
    arguments = ["--run", str(run_folder), "--output", str(tmp_path), "--max_length", "2", "--beam", "1"]
    folders(tmp_path, "1", "2")
    with pytest.raises(ValueError, match="`keep` must be a positive integer. Received: keep=0"):
        export.main([*arguments, "--keep", "0"])
    export.main([*arguments, "--keep", "2", "--max_rows", "5", "--max_characters", "9"])
    assert names(tmp_path) == ["2", "3"]
    limits = json.loads((tmp_path / "3" / "manifest.json").read_text())["limits"]
    assert (limits["max_rows"], limits["max_characters"]) == (5, 9)


@pytest.fixture(scope="module")
def diverged(run_folder, tmp_path_factory):
    """The run, with a model.keras and a checkpoint of which one number is NaN."""
    folder = tmp_path_factory.mktemp("diverged") / "run"
    shutil.copytree(run_folder, folder)
    model = keras.models.load_model(folder / "model.keras")
    model.source_embedding.embeddings.assign(
        np.where(np.eye(*model.source_embedding.embeddings.shape), np.nan, 1)
    )
    model.save(folder / "model.keras")
    (folder / "checkpoints").mkdir()
    shutil.copy(folder / "model.keras", folder / "checkpoints" / "epoch-1.keras")
    return folder


@pytest.mark.parametrize("format", ["saved_model", "ctranslate2", "onnx"])
def test_weights_that_are_not_finite_are_refused_in_every_format(
    run_folder, diverged, tmp_path, monkeypatch, format
):
    monkeypatch.setitem(sys.modules, "tf2onnx", types.SimpleNamespace())
    arguments = ["--output", str(tmp_path / "out"), "--format", format]
    given = [["--run", diverged]]
    if format == "saved_model":
        given += [["--run", run_folder, "--ensemble", diverged]]
        given += [["--run", diverged, "--checkpoint", "epoch-1.keras"]]
    for options in given:
        with pytest.raises(ValueError, match=r"weights must be finite.*\.keras: 1 of .*source_embedding"):
            export.main([*arguments, *map(str, options)])
    assert names(tmp_path) == []


def test_a_model_that_answers_its_samples_with_nan_is_refused(tmp_path):
    # Its weights are finite, and its products are not.
    spec = tf.TensorSpec([None], tf.string, name="text")
    score = tf.function(
        lambda text: {"score": tf.cast(tf.strings.length(text), tf.float32) * 1e38 * 1e38},
        input_signature=[spec],
        autograph=False,
    )
    samples = [("serving_default", {"text": ["a"]})]
    with pytest.raises(ValueError, match="finite numbers. Received: .* in score of serving_default"):
        saved_model.write({"serving_default": score}, [], [], tmp_path / "model", None, samples)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"5",
        b"model: 5",
        b"model: [a]",
        b"model: {kind: [transformer]}",
        b"model: {kind: 5}",
        b"a: b: c",
        b"\xff\xfe",
        b"a: &a [*a]",
        b"a: " + b"[" * 2000 + b"]" * 2000,
        b"!!python/object/apply:os.system [ls]",
        b"model: {kind: transformer}\nmodel: {kind: causal_lm}",
    ],
)
def test_a_configuration_that_is_none_is_told_by_its_file_and_nothing_is_written(tmp_path, text):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.yaml").write_bytes(text)
    with pytest.raises(ValueError) as error:
        export.main(["--run", str(run), "--output", str(tmp_path / "out")])
    assert str(run) in str(error.value) and len(str(error.value)) < 600
    assert names(tmp_path) == ["run"]
