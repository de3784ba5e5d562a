"""`serving.verify`: a good export passes, and each kind of damage and of hostile file is told by its rule."""

import json
import os
import shutil
import subprocess

import pytest
import tensorflow as tf

import command_line
from serving import certificate, checksums, manifest, op_closure, replay, saved_model, verify

from .conftest import NUM_RESULTS, python

pytestmark = pytest.mark.usefixtures("starts_warm")


def write(base, function=tf.identity, version=1, value=2.0, **facts):
    """A small export whose signature gives back what `function` makes of the text."""
    spec = tf.TensorSpec([None], tf.string, name="text")
    echo = tf.function(lambda text: {"echo": function(text)}, input_signature=[spec], autograph=False)
    facts = {"kind": "echo", "limits": {}, **facts}
    signatures, samples = {"serving_default": echo}, [("serving_default", {"text": ["a", "ü"]})]
    return saved_model.write(
        signatures, [tf.Variable(value, name="kernel")], samples, base, version, samples, facts
    )


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write(tmp_path_factory.mktemp("small"))


@pytest.fixture
def copy(small, tmp_path):
    shutil.copytree(small, tmp_path / "1")
    return tmp_path / "1"


def relist(folder):
    """Somebody who can write there brings the list up to date."""
    (folder / "SHA256SUMS").unlink()
    checksums.write(folder)


def refusal(folder, *arguments, monkeypatch=None):
    """What the checks passed, and the sentence of the one that did not."""
    passed = []
    with pytest.raises(ValueError) as refused:
        for line in verify.verify(folder, *arguments):
            passed.append(line.split(":")[0])
    return passed, str(refused.value)


def test_an_export_of_the_command_passes_every_check(exported, capsys):
    # As a user does: one line for each check.
    command_line.run(lambda: verify.main([str(exported)]))
    lines = capsys.readouterr().out.splitlines()
    words = [line.removeprefix("ok: ").split(":")[0] for line in lines]
    assert words == ("files checksums manifest ops signatures warm-up weights certificate answers".split())
    assert lines[-1] == "ok: answers: 6 samples, as stored"


def test_the_manifest_says_what_the_export_is(exported):
    found = json.loads((exported / "manifest.json").read_text(encoding="utf-8"))
    assert (found["kind"], found["version"], found["needs_tensorflow_serving"]) == ("transformer", 1, "2.20")
    assert found["search"]["kind"] == "BeamSearch" and found["search"]["n_best"] == NUM_RESULTS
    assert found["limits"] == {
        "max_rows": 128,
        "max_characters": 10_000,
        "max_target_tokens": 256,
        "max_source_tokens": 13,
        "max_steps": 13,
    }
    assert found["signatures"]["translate_nbest"] == {
        "inputs": {"text": {"dtype": "string", "shape": [None]}},
        "outputs": {
            "scores": {"dtype": "float32", "shape": [None, NUM_RESULTS]},
            "translations": {"dtype": "string", "shape": [None, NUM_RESULTS]},
        },
    }
    assert found["made_with"]["tensorflow"] == tf.__version__
    assert set(found["made_with"]) == {"keras_transformer", "keras", "tensorflow", "tensorflow-text"}


def test_the_stored_samples_are_requests_of_the_rest_interface(exported):
    samples = json.loads((exported / manifest.SAMPLES_FILE).read_text(encoding="utf-8"))
    assert {sample["signature_name"] for sample in samples} == set(
        json.loads((exported / "manifest.json").read_text(encoding="utf-8"))["signatures"]
    )
    assert all(set(sample) == {"signature_name", "inputs", "outputs"} for sample in samples)
    texts = samples[0]["inputs"]["text"]
    assert "" in texts and len(samples[0]["outputs"]["translation"]) == len(texts)


def test_the_sum_that_the_export_printed_is_checked(export_command, exported):
    printed = export_command[0].stdout.split()[-1]
    assert len(printed) == 64
    lines = verify.verify(exported, printed)
    assert [next(lines), next(lines)][1].endswith("and that of the list")
    passed, message = refusal(exported, "0" * 64)
    assert passed == ["files"] and "must have the SHA-256 0000" in message
    for no_sum in ("", "zz", "0" * 63):
        assert refusal(exported, no_sum)[1].startswith("`sha256` must be 64 hexadecimal digits. Received: ")


def test_a_changed_a_missing_and_a_further_file_are_told(copy):
    data = copy / "variables" / "variables.data-00000-of-00001"
    data.write_bytes(data.read_bytes() + b"x")
    assert refusal(copy)[1].endswith("Received: changed: variables/variables.data-00000-of-00001.")
    data.unlink()
    assert refusal(copy)[1].endswith("Received: missing: variables/variables.data-00000-of-00001.")
    data.write_bytes(b"x")
    (copy / "SHA256SUMS").write_text("")
    assert "Received: not listed: assets.extra/samples.json" in refusal(copy)[1]


@pytest.mark.parametrize("name", ["saved_model.cpb", "saved_model.pbtxt", "run.py", "assets/x", "keras.pkl"])
def test_a_file_that_no_export_has_is_refused_though_it_is_listed(copy, name):
    # TensorFlow would read saved_model.cpb in the place of the saved_model.pb that was checked.
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_bytes(b"x")
    relist(copy)
    assert refusal(copy) == ([], f"An export holds no other files than its own. Received: {name}.")


@pytest.mark.parametrize("target", ["/etc/hostname", "saved_model.pb"])
def test_a_link_is_refused(copy, target):
    (copy / "fingerprint.pb").unlink()
    (copy / "fingerprint.pb").symlink_to(target)
    relist(copy)
    assert refusal(copy) == ([], "An export holds files and no links. Received: fingerprint.pb.")


def test_a_link_to_a_folder_and_a_pipe_are_refused(copy, tmp_path):
    (copy / "assets").rmdir()  # TensorFlow makes it, empty
    (copy / "assets").symlink_to(tmp_path)
    assert "no links. Received: assets." in refusal(copy)[1]
    (copy / "assets").unlink()
    os.mkfifo(copy / "fingerprint.pipe")
    assert "no links. Received: fingerprint.pipe." in refusal(copy)[1]


def test_an_oversized_file_is_refused(copy):
    with (copy / "manifest.json").open("r+b") as file:
        file.truncate(2**24 + 1)  # takes no room on the disk
    assert refusal(copy)[1].startswith("manifest.json must have at most 16777216 bytes.")


def test_what_is_no_version_is_refused(tmp_path, exported):
    for folder in (tmp_path / "absent", tmp_path, exported / "manifest.json"):
        assert refusal(folder)[0] == []


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "manifest.json must be JSON"),
        ("[]", "manifest.json must be what serving.export wrote. Received: a list"),
        ("[" * 100_000, "manifest.json must be JSON"),
        ("{}", "manifest.json holds format, version"),
    ],
)
def test_a_manifest_that_is_none_is_refused(copy, text, message):
    (copy / "manifest.json").write_text(text)
    relist(copy)
    passed, received = refusal(copy)
    assert passed == ["files", "checksums"] and received.startswith(message)


@pytest.mark.parametrize("changes", [{"format": 2}, {"version": 2}, {"signatures": []}])
def test_a_manifest_of_something_else_is_refused(copy, changes):
    path = copy / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    relist(copy)
    assert refusal(copy)[0] == ["files", "checksums"]


def test_signatures_that_are_not_those_of_the_manifest_are_refused(copy):
    path = copy / "manifest.json"
    found = json.loads(path.read_text())
    found["signatures"]["serving_default"]["outputs"]["echo"]["dtype"] = "int32"
    path.write_text(json.dumps(found))
    relist(copy)
    passed, message = refusal(copy)
    assert passed[-1] == "ops" and "must be those of manifest.json. Received: serving_default" in message


def test_another_answer_than_the_stored_one_is_told(copy):
    path = copy / manifest.SAMPLES_FILE
    path.write_text(path.read_text().replace('"echo": [', '"echo": ["b", '))
    relist(copy)
    passed, message = refusal(copy)
    assert passed[-1] == "certificate" and "another one to sample 0, serving_default: echo" in message


@pytest.mark.parametrize("samples", ["[1]", '[{"inputs": {}}]', "{}"])
def test_samples_that_are_none_are_refused(copy, samples):
    (copy / manifest.SAMPLES_FILE).write_text(samples)
    relist(copy)
    assert refusal(copy)[0][-1] == "warm-up"


@pytest.mark.parametrize(
    "signature, inputs", [("other", {"text": ["a"]}), ("serving_default", {"text": "a"})]
)
def test_a_sample_that_cannot_be_asked_is_one_line(copy, signature, inputs):
    sample = {"signature_name": signature, "inputs": inputs, "outputs": {"echo": []}}
    (copy / manifest.SAMPLES_FILE).write_text(json.dumps([sample]))
    relist(copy)
    passed, message = refusal(copy)
    assert passed[-1] == "warm-up" and message.startswith("The model must answer its samples. Received: ")
    assert len(message.splitlines()) == 1


def test_numbers_may_differ_a_little_and_text_may_not():
    assert verify._same([[1.0, -3.0]], [[1.0005, -3.0]]) and not verify._same([1.0], [1.01])
    assert (
        not verify._same(["a"], ["b"]) and not verify._same(["a"], ["a", "b"]) and not verify._same([1], "1")
    )
    assert verify._same([1], [1]) and not verify._same([1], [2]) and not verify._same([1.0], [None])


# Graphs that do more than compute.


def reads(text):
    return text + tf.io.read_file("/etc/hostname")


def writes(text):
    with tf.control_dependencies([tf.raw_ops.WriteFile(filename="harm-was-done", contents="x")]):
        return tf.identity(text)


def lists(text):
    return text + tf.strings.reduce_join(tf.io.matching_files("/etc/host*"))


def prints(text):
    tf.print(text)
    return text


def runs_python(text):
    return tf.py_function(lambda batch: batch, [text], tf.string)


def saves(text):
    with tf.control_dependencies(
        [tf.raw_ops.SaveV2(prefix="harm-was-done", tensor_names=["a"], shape_and_slices=[""], tensors=[text])]
    ):
        return tf.identity(text)


def restores(text):
    found = tf.raw_ops.RestoreV2(prefix="/x", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.string])
    return text + found[0]


HOSTILE = [
    (reads, "ReadFile"),
    (writes, "WriteFile"),
    (lists, "MatchingFiles"),
    (prints, "PrintV2"),
    (runs_python, "EagerPyFunc"),
    (saves, "SaveV2"),
    (restores, "RestoreV2"),
]


@pytest.mark.parametrize("function, op", HOSTILE)
def test_a_graph_that_touches_files_or_runs_python_is_refused_and_not_run(
    tmp_path, monkeypatch, function, op
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"Received: {op}\."):
        write(tmp_path / "refused", function)
    assert list(tmp_path.iterdir()) == []
    # Somebody else's exporter does not refuse; and no sample was asked.
    monkeypatch.setattr(op_closure, "check", lambda *_, **__: None)
    monkeypatch.setattr(manifest, "write_samples", lambda *_: None)
    folder = write(tmp_path / "hostile", function)
    monkeypatch.undo()
    (folder / "assets.extra").mkdir(exist_ok=True)
    passed, message = refusal(folder)
    assert passed == ["files", "checksums", "manifest"] and message.endswith(f"Received: {op}.")
    assert not (tmp_path / "harm-was-done").exists()


def test_the_weights_are_read_only_where_the_loader_says(small, tmp_path):
    path = tmp_path / "saved_model.pb"
    proto = op_closure.read(small / "saved_model.pb")
    for graph in proto.meta_graphs:
        for function in graph.graph_def.library.function:
            for node in function.node_def:
                if node.op == "RestoreV2":
                    node.input[0] = "other"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="Received: AssignVariableOp, RestoreV2"):
        op_closure.check(path)


def test_the_function_that_saves_is_called_by_nobody_else(small, tmp_path):
    path = tmp_path / "saved_model.pb"
    proto = op_closure.read(small / "saved_model.pb")
    (graph,) = proto.meta_graphs
    saver = graph.saver_def.save_tensor_name.split(":")[0]
    (node,) = (node for node in graph.graph_def.node if node.name == saver)
    graph.graph_def.node.add().CopyFrom(node)
    graph.graph_def.node[-1].name = "again"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="Received: MergeV2Checkpoints, SaveV2, ShardedFilename"):
        op_closure.check(path)


def test_a_file_that_is_no_saved_model_is_refused(copy):
    (copy / "saved_model.pb").write_bytes(b"\xff" * 100)
    relist(copy)
    passed, message = refusal(copy)
    assert passed[-1] == "manifest" and message.startswith("saved_model.pb must hold a SavedModel.")


def test_all_that_is_allowed_exists():
    assert [op for op in op_closure.COMPUTING_OPS if not hasattr(tf.raw_ops, op)] == []
    for name in ("File", "Print", "PyFunc", "Summary", "Dataset", "Restore", "Save", "Send", "Recv", "Queue"):
        assert not [op for op in op_closure.COMPUTING_OPS if name in op], name


def test_a_refusal_is_one_line_and_status_1(tmp_path):
    done = python("-m", "serving.verify", tmp_path, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == f"error: An export holds saved_model.pb. Received: {tmp_path}, which does not.\n"


@pytest.fixture
def replayed_here(monkeypatch):
    """Weights are looked at in this process, which has started TensorFlow; nothing is asked."""

    def replayed(command, **_):
        prefix = f"{command[-1]}/variables/variables"
        count, wrong = replay.check_weights(tf, prefix)
        found = {"weights": count, "not_finite": wrong, "sum": replay.weights_sum(tf, prefix), "answers": []}
        return subprocess.CompletedProcess(command, 0, json.dumps(found), b"")

    monkeypatch.setattr(verify.subprocess, "run", replayed)


@pytest.mark.usefixtures("replayed_here")
def test_weights_that_are_not_finite_are_told_by_name(tmp_path):
    passed, message = refusal(write(tmp_path, value=[1.0, float("nan")]))
    assert passed[-1] == "warm-up"
    assert message.endswith("Received: 1 of 1 are not, the first of them 'kernel'.")


@pytest.mark.usefixtures("replayed_here")
def test_other_weights_and_another_graph_are_told_by_the_certificate(copy, tmp_path, monkeypatch):
    # Somebody put the parts of another export here, and brought the list up to date.
    other = write(tmp_path / "other", tf.strings.upper, value=3.0)
    shutil.copytree(other / "variables", copy / "variables", dirs_exist_ok=True)
    relist(copy)
    passed, message = refusal(copy)
    assert passed[-1] == "warm-up"
    assert message.startswith("The weights must have the sum of the certificate, '")
    assert len(message.splitlines()) == 1
    # An export of before there were certificates has other checks.
    path = copy / "manifest.json"
    old = json.loads(path.read_text())
    certified = old.pop("certificate")
    path.write_text(json.dumps(old))
    relist(copy)
    monkeypatch.setattr(verify, "_check_answers", lambda *_: "answers: none asked")
    assert list(verify.verify(copy))[-2] == "weights: 1, all of them finite"
    path.write_text(json.dumps(old | {"certificate": certified}))
    shutil.copy(other / "saved_model.pb", copy / "saved_model.pb")
    relist(copy)
    passed, message = refusal(copy)
    assert passed[-1] == "ops" and message.startswith("The operations must have the sum of the certificate")
    path.write_text(json.dumps(old | {"certificate": 5}))
    relist(copy)
    assert refusal(copy)[1].startswith("manifest.json holds the sums of the certificate by name.")


def test_of_a_models_folder_the_newest_version_is_checked(tmp_path, small, monkeypatch):
    monkeypatch.setattr(verify, "_replay", lambda folder, _: (1, certificate.sums(folder)["weights"], []))
    monkeypatch.setattr(verify, "_check_answers", lambda *_: "answers: none asked")
    for name in ("1", "3", "0002", str(2**63), "best"):
        shutil.copytree(small, tmp_path / name)
    (tmp_path / "9").write_text("a file")
    path = tmp_path / "3" / "manifest.json"
    path.write_text(path.read_text().replace('"version": 1', '"version": 3'))
    relist(tmp_path / "3")
    lines = list(verify.verify(tmp_path))
    assert lines[0] == "version: 3, the newest of 3" and lines[3] == "manifest: echo, version 3"
    # And of no other folder.
    assert next(verify.verify(tmp_path / "1")).startswith("files: ")
    assert refusal(tmp_path / "best")[1].startswith("A version's folder has its number. Received: best")


@pytest.mark.parametrize("name", ["SHA256SUMS", "manifest.json", "assets.extra/samples.json"])
@pytest.mark.parametrize("data", [b"\xff\xfe{", b"[" * 2000 + b"]" * 2000, b"[" * 200_000, b"9" * 5000, b""])
def test_a_text_file_that_is_none_is_told_by_its_name_in_one_line(copy, name, data):
    (copy / name).write_bytes(data)
    if name != "SHA256SUMS":
        relist(copy)
    message = refusal(copy)[1]
    assert name.split("/")[-1] in message or data == b"" and name == "SHA256SUMS"
    assert len(message) < 500 and len(message.splitlines()) == 1


def test_requests_to_warm_up_with_that_would_end_the_load_are_refused(copy):
    path = copy / saved_model.WARM_UP_FILE
    for requests in ([("other", {"text": ["a"]})], [("serving_default", {"source": ["a"]})]):
        shutil.rmtree(path.parent / "x", ignore_errors=True)
        saved_model.write_warm_up(requests, path.parent / "x" / "y")
        shutil.move(path.parent / "x" / "y", path)
        (path.parent / "x").rmdir()
        relist(copy)
        passed, message = refusal(copy)
        assert passed[-1] == "signatures" and message.startswith("The requests to warm up with must be for")
    path.write_bytes(path.read_bytes()[:-3])
    relist(copy)
    assert "tf_serving_warmup_requests must hold requests. Received: " in refusal(copy)[1]
