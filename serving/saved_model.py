"""Writes graph functions as one version of a model that TF Serving loads.

    DIR/VERSION/saved_model.pb, variables/      the graph, with the tokenizers, and the weights
    DIR/VERSION/assets.extra/                   requests that TF Serving plays before it says "available";
                                                requests with their answers, for `serving.verify`
    DIR/VERSION/manifest.json                   what the model is, see `serving.manifest`
    DIR/VERSION/SHA256SUMS                      sha256sum --check SHA256SUMS

TF Serving looks for new versions every second. A version is therefore written beside, under a name
that is no number, and renamed into place when it is complete.
"""

import os
import shutil
import tempfile
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving import checksums, manifest, op_closure

WARM_UP_FILE = "assets.extra/tf_serving_warmup_requests"
TEMPORARY_PREFIX = ".incomplete-"
REMOVED_PREFIX = ".removed-"


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
    versions = [number for number, _ in _versions(base)]
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


def remove_older(base, version, keep) -> list[Path]:
    """Removes versions that are older than one, beyond the newest.

    Args:
        base: folder of the versions.
        version: a number; neither it nor a newer one is removed.
        keep: number of versions to keep, > 0.

    Returns:
        The folders that were removed.
    """
    base = Path(base)
    for path in base.glob(f"{REMOVED_PREFIX}*"):  # of a removal that was interrupted
        shutil.rmtree(path, ignore_errors=True)
    found = sorted(_versions(base), reverse=True)
    old = [path for number, path in found[keep:] if number < version and path.is_dir()]
    for path in old:
        # Aside first: a server sees the whole version or none of it. A number would still be a version.
        aside = Path(tempfile.mkdtemp(prefix=REMOVED_PREFIX, dir=base))
        path.rename(aside / path.name)
        shutil.rmtree(aside)
    return old


def _versions(base):
    """(number, folder) of each version, as TF Serving reads names: "0001" is version 1."""
    paths = base.iterdir() if base.is_dir() else ()
    return [(int(path.name), path) for path in paths if path.name.isascii() and path.name.isdigit()]


def write(signatures, resources, warm_up, base, version: int, samples=(), facts=None) -> Path:
    """Writes one version and leaves nothing behind if that fails.

    Args:
        signatures: name -> `tf.function` with an `input_signature`, which returns named tensors; one is
            called serving_default.
        resources: variables and tokenizers that the functions read; lists of such.
        warm_up: requests, (name of the signature, {input: value}). One that fails makes the load fail, so
            that a version of which a part is missing never becomes available.
        base: folder of the versions; made if absent.
        version: number of the version; must not exist.
        samples: requests as in `warm_up`, which are stored with their answers.
        facts: for the manifest, see `manifest.write`.

    Returns:
        `base`/`version`.

    Raises:
        ValueError: a graph has an op that a stock TF Serving does not know, or a sample cannot be answered.
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
        write_warm_up(warm_up, beside / WARM_UP_FILE)
        manifest.write_samples(beside, signatures, samples)
        manifest.write(beside, version, facts or {})
        checksums.write(beside)
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


def write_warm_up(requests, path):
    """Writes requests, (name of the signature, {input: value}), as the file that TF Serving plays."""
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, inputs in requests:
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = name
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def _flush_to_disk(folder):
    # After a power cut a renamed folder must not hold empty files.
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
