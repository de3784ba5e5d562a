"""Writes graph functions as one version of a model that TF Serving loads.

    DIR/VERSION/saved_model.pb, variables/      the graph, with the tokenizers, and the weights
    DIR/VERSION/assets.extra/                   requests that TF Serving plays before it says "available"
    DIR/VERSION/SHA256SUMS                      sha256sum --check SHA256SUMS

TF Serving looks for new versions every second. A version is therefore written beside, under a name
that is no number, and renamed into place when it is complete.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving import op_closure

WARM_UP_FILE = "assets.extra/tf_serving_warmup_requests"
CHECKSUM_FILE = "SHA256SUMS"
TEMPORARY_PREFIX = ".incomplete-"


def choose_version(base, version=None) -> int:
    """Checks the number of a version, or takes one more than the newest.

    Args:
        base: folder of the versions; may be absent.
        version: > 0, or None.

    Raises:
        ValueError: `version` is not positive or exists, or `base` is not a folder.
    """
    base = Path(base)
    if base.exists() and not base.is_dir():
        raise ValueError(f"The output must be a folder. Received: {base}, a file.")
    # As TF Serving reads names: "0001" is version 1.
    names = [path.name for path in base.iterdir()] if base.is_dir() else []
    versions = [int(name) for name in names if name.isascii() and name.isdigit()]
    if version is None:
        return max(versions, default=0) + 1
    if version < 1:
        raise ValueError(f"A version is a positive integer. Received: {version}.")
    if version in versions:
        raise ValueError(
            f"A version is never overwritten, for a server may have it loaded. Received: {version}, "
            f"which {base} has already; its newest is {max(versions)}."
        )
    return version


def write(signatures, resources, warm_up, base, version: int) -> Path:
    """Writes one version and leaves nothing behind if that fails.

    Args:
        signatures: name -> `tf.function` with an `input_signature`, which returns named tensors; one is
            called serving_default.
        resources: variables and tokenizers that the functions read; lists of such.
        warm_up: requests, (name of the signature, {input: value}). One that fails makes the load fail, so
            that a version of which a part is missing never becomes available.
        base: folder of the versions; made if absent.
        version: number of the version; must not exist.

    Returns:
        `base`/`version`.

    Raises:
        ValueError: a graph has an op that a stock TF Serving does not know.
    """
    base = Path(base)
    is_new = not base.exists()
    base.mkdir(parents=True, exist_ok=True)
    # In the same folder, hence on the same disk: only then is the rename atomic.
    beside = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=base))
    try:
        # A module of its own holds what the graphs read, and no other function.
        module = tf.Module()
        module.resources = resources
        tf.saved_model.save(module, str(beside), signatures=signatures)
        op_closure.check(beside / "saved_model.pb")
        _write_warm_up(warm_up, beside / WARM_UP_FILE)
        _write_checksums(beside)
        _flush_to_disk(beside)
        # mkdtemp makes folders that only their owner can read; the server is somebody else.
        beside.chmod(0o755)
        beside.rename(base / str(version))
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        if is_new:
            base.rmdir()
        raise
    return base / str(version)


def _write_warm_up(requests, path):
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, inputs in requests:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = name
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def _write_checksums(folder):
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = []
    for path in paths:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    (folder / CHECKSUM_FILE).write_text("".join(lines), encoding="utf-8")


def _flush_to_disk(folder):
    # After a power cut a renamed folder must not hold empty files.
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
