"""Writes graph functions as one version of a model that TF Serving loads.

    DIR/VERSION/saved_model.pb, variables/      the graph, with the tokenizers, and the weights
    DIR/VERSION/assets.extra/                   requests that TF Serving plays before it says "available";
                                                requests with their answers, for `serving.verify`
    DIR/VERSION/manifest.json                   what the model is, see `serving.manifest`
    DIR/VERSION/batching_params.pbtxt           how requests may be joined, see `serving.batching`
    DIR/VERSION/SHA256SUMS                      sha256sum --check SHA256SUMS

TF Serving looks for new versions every second: see `whole_folder`.
"""

import contextlib
import shutil
import tempfile
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving import batching, checksums, manifest, op_closure, small_graph, versions, whole_folder

WARM_UP_FILE = "assets.extra/tf_serving_warmup_requests"
REMOVED_PREFIX = ".removed-"
# What is exported is not trained.
OPTIONS = tf.saved_model.SaveOptions(experimental_custom_gradients=False)


def choose_version(base, version=None) -> int:
    """Checks the number of a version, or takes one more than the newest.

    Args:
        base: folder of the versions; may be absent.
        version: from 1 to 2**63 - 1, or None.

    Raises:
        ValueError: `version` is out of range or exists, no number is left, or `base` is not a folder.
        OSError: `base` cannot be written or read.
    """
    whole_folder.check_writable(base)
    newest = max((number for number, _ in versions.found(base)), default=0)
    if version is None:
        if newest == versions.MAX_VERSION:
            raise ValueError(f"There is no version after {newest}: name one that is free. Received: {base}.")
        return newest + 1
    if not isinstance(version, int) or not 1 <= version <= versions.MAX_VERSION:
        raise ValueError(
            f"A version is a positive integer, at most {versions.MAX_VERSION}. Received: {version}."
        )
    if version in (number for number, _ in versions.found(base)):
        raise ValueError(
            f"A version is never overwritten, for a server may have it loaded. Received: {version}, "
            f"which {base} has already; its newest is {newest}."
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
    found = sorted(versions.found(base), reverse=True)
    removed = []
    for number, path in found[keep:]:
        if number < version and path.is_dir():
            # Aside first: a server sees the whole version or none of it. A number would still be a version.
            aside = Path(tempfile.mkdtemp(prefix=REMOVED_PREFIX, dir=base))
            # Another export may be removing the same.
            with contextlib.suppress(FileNotFoundError):
                path.rename(aside / path.name)
                removed.append(path)
            shutil.rmtree(aside, ignore_errors=True)
    return removed


def write(signatures, resources, warm_up, base, version=None, samples=(), facts=None) -> Path:
    """Writes one version and leaves nothing behind if that fails.

    Args:
        signatures: name -> `tf.function` with an `input_signature`, which returns named tensors; one is
            called serving_default.
        resources: variables and tokenizers that the functions read; lists of such.
        warm_up: requests, (name of the signature, {input: value}). One that fails makes the load fail, so
            that a version of which a part is missing never becomes available.
        base: folder of the versions; made if absent.
        version: number of the version, which must not exist; one more than the newest if None.
        samples: requests as in `warm_up`, which are stored with their answers.
        facts: for the manifest, see `manifest.write`.

    Returns:
        `base`/`version`.

    Raises:
        ValueError: `version` exists, a graph has an op that a stock TF Serving does not know, or a sample
            cannot be answered.
        OSError: it cannot be written.
    """
    base = Path(base)
    choose_version(base, version)
    with whole_folder.beside(base) as beside:
        # Traced once: `save` would trace them for itself, and the samples for themselves once more.
        signatures = {name: function.get_concrete_function() for name, function in signatures.items()}
        # A module of its own holds what the graphs read, and no other function.
        module = tf.Module()
        module.resources = resources
        tf.saved_model.save(module, str(beside), signatures, OPTIONS)
        small_graph.rewrite(beside)
        op_closure.check(beside / "saved_model.pb", compiled="xla" in (facts or {}))
        write_warm_up(warm_up, beside / WARM_UP_FILE)
        specs = tf.nest.flatten([function.structured_input_signature for function in signatures.values()])
        if (parameters := batching.parameters([spec.name for spec in specs], facts or {})) is not None:
            (beside / batching.FILE).write_text(parameters, encoding="utf-8")
        manifest.write_samples(beside, signatures, samples)
        while True:
            # Only now: another export may have taken the number meanwhile.
            number = choose_version(base, version)
            manifest.write(beside, number, facts or {})
            checksums.write(beside)
            with contextlib.suppress(FileExistsError):
                return whole_folder.into_place(beside, base / str(number))


def write_warm_up(requests, path) -> None:
    """Writes requests, (name of the signature, {input: value}), as the file that TF Serving plays.

    The last come first: pipelines begin with the smallest, and an allocator that has just given the memory of
    a compiler or of a large batch back is slow once, which shall not be a user's request.
    """
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, inputs in reversed(requests):
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = name
            for key, value in inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def read_warm_up(path) -> list:
    """What `write_warm_up` wrote, (name of the signature, names of the inputs) of each request.

    Raises:
        ValueError: the file is damaged: TF Serving would not load the version.
    """
    found = []
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
            found.append((request.model_spec.signature_name, sorted(request.inputs)))
    except (tf.errors.OpError, DecodeError) as error:
        reason = getattr(error, "message", error)
        raise ValueError(f"{Path(path).name} must hold requests. Received: {reason}.") from error
    return found
