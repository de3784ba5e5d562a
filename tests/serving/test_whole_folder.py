"""A version is there whole or not at all: full disks, forbidden folders, other exports, kills."""

import errno
import os
import resource
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
import tensorflow as tf

from serving import checksums, ctranslate2_format, manifest, onnx_format, saved_model, whole_folder


def write(base, version=None, text="a"):
    """A small version with a variable, a warm-up request and a sample."""
    spec = tf.TensorSpec([None], tf.string, name="text")
    echo = tf.function(lambda text: {"echo": tf.identity(text)}, input_signature=[spec], autograph=False)
    requests = [("serving_default", {"text": [text]})]
    variables = [tf.Variable(tf.zeros([1000]))]
    return saved_model.write({"serving_default": echo}, variables, requests, base, version, requests)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


PLACES = [
    (lambda: saved_model.tf.saved_model, "save"),
    (lambda: saved_model, "write_warm_up"),
    (lambda: manifest, "write_samples"),
    (lambda: manifest, "write"),
    (lambda: checksums, "write"),
    (lambda: os, "fsync"),
    (lambda: Path, "rename"),
]


@pytest.mark.parametrize(("where", "name"), PLACES, ids=[name for _, name in PLACES])
def test_a_disk_that_is_full_anywhere_is_one_line_and_nothing_is_left(tmp_path, monkeypatch, where, name):
    monkeypatch.setattr(where(), name, full)
    with pytest.raises(OSError) as error:
        write(tmp_path / "new" / "model")
    assert str(error.value) == f"{tmp_path}/new/model cannot be written: [Errno 28] No space left on device"
    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [0, 50, 3000])
def test_what_tensorflow_cannot_write_is_one_line_and_nothing_is_left(tmp_path, size):
    # A limit on the size of files, which TensorFlow's own writing meets too, stands in for the full disk.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        with pytest.raises(OSError, match=f"^{tmp_path}/model cannot be written: ") as error:
            write(tmp_path / "model")
        assert "{{" not in str(error.value) and "[Op:" not in str(error.value)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


def test_a_failed_export_leaves_the_folders_and_versions_that_were_there(tmp_path, monkeypatch):
    write(tmp_path / "model")
    monkeypatch.setattr(checksums, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "model")
    assert names(tmp_path / "model") == ["1"]


class NoTokenizer:
    def save(self, folder):
        full()


def test_a_full_disk_leaves_nothing_of_the_other_formats(tmp_path, monkeypatch):
    found = types.SimpleNamespace(
        model=None,
        search=types.SimpleNamespace(max_length=3),
        source_tokenizer=NoTokenizer(),
        target_tokenizer=NoTokenizer(),
    )
    spec = types.SimpleNamespace(
        config=types.SimpleNamespace(),
        register_source_vocabulary=lambda _: None,
        register_target_vocabulary=lambda _: None,
        validate=lambda: None,
        optimize=lambda quantization: None,
        variables=dict,
        save=lambda folder: Path(folder, "model.bin").write_text("x"),
    )
    monkeypatch.setattr(ctranslate2_format, "_specification", lambda *_: spec)
    monkeypatch.setattr(ctranslate2_format, "_vocabulary", lambda *_: ["<pad>", "<unk>", "<s>", "</s>"])
    model = types.SimpleNamespace(source_vocabulary_size=1, target_vocabulary_size=1)
    monkeypatch.setitem(sys.modules, "tf2onnx", types.SimpleNamespace())
    monkeypatch.setattr(onnx_format.Translator, "from_run", lambda *_, **__: found)
    monkeypatch.setattr(onnx_format, "graphs", lambda *_: {})
    with pytest.raises(OSError, match="new cannot be written: .* No space left"):
        ctranslate2_format.write(model, NoTokenizer(), NoTokenizer(), tmp_path / "new" / "model")
    with pytest.raises(OSError, match="new cannot be written: .* No space left"):
        onnx_format.export("run", tmp_path / "new" / "model")
    assert names(tmp_path) == []


@pytest.mark.parametrize("check", [whole_folder.check_writable, whole_folder.check_absent])
def test_an_output_that_cannot_be_is_told_before_the_work(tmp_path, monkeypatch, check):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    with pytest.raises(ValueError, match="must be a folder. Received: .*file/a/b, and .*file is none"):
        check(tmp_path / "file" / "a" / "b")
    with pytest.raises(ValueError, match="nowhere"):
        check(tmp_path / "nowhere" if check is whole_folder.check_writable else tmp_path / "nowhere" / "a")
    with pytest.raises(OSError, match="too long"):
        check(tmp_path / ("n" * 300) / "a")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may do everything
    with pytest.raises(OSError, match=f"a/b cannot be written: no permission for {tmp_path}"):
        check(tmp_path / "a" / "b")
    assert names(tmp_path) == ["file", "nowhere"]


def other_export(monkeypatch, base):
    """Another export ends first: its version appears just before ours would."""
    real = checksums.write

    def raced(folder):
        real(folder)
        monkeypatch.setattr(checksums, "write", real)
        write(base)

    monkeypatch.setattr(checksums, "write", raced)


def test_of_two_exports_at_once_the_second_becomes_the_next_version(tmp_path, monkeypatch):
    other_export(monkeypatch, tmp_path / "model")
    folder = write(tmp_path / "model")
    assert folder.name == "2" and names(tmp_path / "model") == ["1", "2"]
    assert '"version": 2,' in (folder / "manifest.json").read_text()
    listed = (folder / "SHA256SUMS").read_text().splitlines()
    assert f"{checksums.digest(folder / 'manifest.json')}  manifest.json" in listed
    assert not [line for line in listed if line.endswith("SHA256SUMS")]


def test_of_two_exports_of_one_number_the_second_is_told_so(tmp_path, monkeypatch):
    other_export(monkeypatch, tmp_path / "model")
    with pytest.raises(ValueError, match="never overwritten.*Received: 1,"):
        write(tmp_path / "model", 1)
    assert names(tmp_path / "model") == ["1"]


def test_an_export_that_fails_beside_another_says_why_it_failed(tmp_path, monkeypatch):
    def fails(folder):
        (folder.parent / "1").mkdir()
        full()

    monkeypatch.setattr(checksums, "write", fails)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "model")
    assert names(tmp_path / "model") == ["1"]


def test_the_folder_may_go_between_two_exports(tmp_path, monkeypatch):
    # A first export that fails takes its new base path with it.
    real = whole_folder.tempfile.mkdtemp

    def gone(prefix, dir):
        monkeypatch.setattr(whole_folder.tempfile, "mkdtemp", real)
        dir.rmdir()
        return real(prefix=prefix, dir=dir)

    monkeypatch.setattr(whole_folder.tempfile, "mkdtemp", gone)
    with whole_folder.beside(tmp_path / "model") as folder:
        assert folder.is_dir()
    assert names(tmp_path) == []


def test_what_a_killed_export_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    left = tmp_path / f"{whole_folder.PREFIX}x"
    left.mkdir()
    # Another process that writes there, without TensorFlow's start-up.
    program = (
        "import fcntl, os, sys\n"
        "fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)\n"
        "print('locked', flush=True); sys.stdin.read()\n"
    )
    long_ago = time.time() - 2 * whole_folder.MIN_AGE
    os.utime(left, (long_ago, long_ago))
    with subprocess.Popen(
        [sys.executable, "-c", program, left],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "locked\n"
        with whole_folder.beside(tmp_path):
            assert left.is_dir()
        other.kill()
    assert left.is_dir()
    (tmp_path / ".incomplete-run").mkdir()  # somebody else's
    os.utime(tmp_path / ".incomplete-run", (long_ago, long_ago))
    with whole_folder.beside(tmp_path) as folder:
        assert names(tmp_path) == [folder.name, ".incomplete-run"]
