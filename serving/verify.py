"""Checks an export before it is served: python -m serving.verify DIR/VERSION

A line for each check: files, checksums, manifest, ops, signatures, warm-up, weights, answers. The model is
loaded and runs for the last two only, in a process of its own, when all others have passed. The first that
fails is one line and status 1. Of DIR, a model's folder, the newest version is checked.

The checksums are those that the export wrote beside its files: they find damage. Against somebody who can
write there, give --sha256, the sum that `serving.export` printed.
"""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import command_line
from command_line import quiet
from serving import versions
from serving.xla import SERVER_FLAG

# All files that an export has. Anything else is refused, whatever the checksums say: beside saved_model.pb a
# saved_model.cpb would be loaded in its place.
FILES = re.compile(
    r"SHA256SUMS|manifest\.json|batching_params\.pbtxt|saved_model\.pb|fingerprint\.pb|"
    r"variables/variables\.(index|data-\d{5}-of-\d{5})|"
    r"assets\.extra/(tf_serving_warmup_requests|samples\.json)"
)
# Bytes. A protocol buffer has at most 2 GiB; what is read whole has to be much smaller.
SMALL = ("SHA256SUMS", "fingerprint.pb", "batching_params.pbtxt")
MAX_SIZES = {"saved_model.pb": 2**31, "manifest.json": 2**24, **dict.fromkeys(SMALL, 2**20)}
MAX_SAMPLES_SIZE = 2**26
# Relative and absolute: other processors add in another order.
TOLERANCE = 1e-3
MAX_QUOTED = 300  # characters of what somebody else wrote, in an error
REPLAY_SECONDS = 3600  # ends what hangs, also on a busy machine


def main(arguments=None) -> None:
    """Reads the command line and checks."""
    parser = command_line.parser("serving.verify", __doc__)
    parser.add_argument(
        "folder", type=str, help="version of an exported model, DIR/VERSION; the newest of DIR"
    )
    parser.add_argument(
        "--sha256",
        type=str,
        help="sum of the file SHA256SUMS that serving.export printed; not checked if absent",
    )
    options = parser.parse_args(arguments)
    for line in verify(options.folder, options.sha256):
        print(f"ok: {line}", flush=True)


def verify(folder, sha256=None) -> Iterator[str]:
    """Checks one version.

    Args:
        folder: DIR/VERSION; of DIR the newest version is checked.
        sha256: sum of its SHA256SUMS, from elsewhere; None to do without.

    Yields:
        What was found, a line for each check that passed.

    Raises:
        ValueError: a check failed; nothing that comes after it was done.
    """
    folder = Path(folder)
    numbered = [found for found in versions.found(folder) if found[1].is_dir()]
    if numbered and not (folder / "saved_model.pb").exists():
        folder = max(numbered)[1]
        yield f"version: {folder.name}, the newest of {len(numbered)}"
    yield _check_files(folder)
    yield _check_sums(folder, sha256)
    manifest = _read_json(folder / "manifest.json", dict)
    yield _check_manifest(folder, manifest)
    with quiet.start_up():
        from serving import certificate, op_closure, saved_model
        from serving.manifest import SAMPLES_FILE, signatures

    compiled = manifest.get("xla")
    op_closure.check(folder / "saved_model.pb", compiled is not None)
    kinds = len(op_closure.ops(folder / "saved_model.pb"))
    yield f"ops: {kinds} kinds, all of the allowed list, " + _described(compiled)
    # An older export has no certificate.
    certified = manifest.get("certificate", {})
    certificate.check(certified, certificate.graph_sums(folder / "saved_model.pb"))
    try:
        found = signatures(folder / "saved_model.pb")
    except TypeError as error:
        raise ValueError(f"The signatures must have data types of TensorFlow. Received: {error}.") from error
    if found != manifest["signatures"]:
        raise ValueError(
            "The signatures must be those of manifest.json. Received: "
            f"{', '.join(_differences(found, manifest['signatures']))}."
        )
    yield f"signatures: {', '.join(found)}"
    asked = []
    if (folder / saved_model.WARM_UP_FILE).exists():
        asked = saved_model.read_warm_up(folder / saved_model.WARM_UP_FILE)
    for name, inputs in asked:
        if name not in found or inputs != sorted(found[name]["inputs"]):
            raise ValueError(
                f"The requests to warm up with must be for the signatures. Received: {_quoted(name)}, with "
                f"{_quoted(inputs)}."
            )
    yield f"warm-up: {len(asked)} requests"
    samples = _read_json(folder / SAMPLES_FILE, list)
    for sample in samples:
        if not _is_sample(sample):
            raise ValueError(f"{SAMPLES_FILE} holds requests with outputs. Received: {str(sample)[:80]!r}.")
    weights, sum_, answers = _replay(folder, samples)
    certificate.check(certified, {"weights": sum_})
    yield f"weights: {weights}, all of them finite"
    if certified:
        yield f"certificate: the sums of {', '.join(certified)}"
    yield _check_answers(samples, answers)


def _check_files(folder):
    """No link, nothing but what an export has, nothing oversized."""
    if folder.is_symlink() or not folder.is_dir():
        raise ValueError(f"What is verified is a folder, DIR/VERSION. Received: {folder}.")
    size = count = 0
    for path in _walk(folder):
        name = path.relative_to(folder).as_posix()
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"An export holds files and no links. Received: {name}.")
        if not FILES.fullmatch(name):
            raise ValueError(f"An export holds no other files than its own. Received: {name}.")
        limit = MAX_SAMPLES_SIZE if name.startswith("assets.extra/") else MAX_SIZES.get(name)
        if limit is not None and status.st_size > limit:
            raise ValueError(f"{name} must have at most {limit} bytes. Received: {status.st_size}.")
        size, count = size + status.st_size, count + 1
    for name in ("saved_model.pb", "variables/variables.index", "manifest.json", "SHA256SUMS"):
        if not (folder / name).is_file():
            raise ValueError(f"An export holds {name}. Received: {folder}, which does not.")
    return f"files: {count}, {size / 1e6:.1f} MB"


def _walk(folder):
    """Everything in a folder that is no folder; links are not followed."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


def _check_sums(folder, sha256):
    from serving.checksums import CHECKSUM_FILE, digest

    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise ValueError(f"`sha256` must be 64 hexadecimal digits. Received: {_quoted(sha256)}.")
    if sha256 is not None and digest(folder / CHECKSUM_FILE) != sha256.lower():
        raise ValueError(
            f"{CHECKSUM_FILE} must have the SHA-256 {sha256}. Received: {digest(folder / CHECKSUM_FILE)}."
        )
    listed = {}
    for line in _read(folder / CHECKSUM_FILE).splitlines():
        sum_, _, name = line.partition("  ")
        if name in listed or not re.fullmatch("[0-9a-f]{64}", sum_):
            raise ValueError(
                f"{CHECKSUM_FILE} lists each file once, with its SHA-256. Received: {line[:MAX_QUOTED]!r}."
            )
        listed[name] = sum_
    found = {path.relative_to(folder).as_posix() for path in _walk(folder)} - {CHECKSUM_FILE}
    for what, names in (("missing", listed.keys() - found), ("not listed", found - listed.keys())):
        if names:
            names = ", ".join(sorted(names))[:MAX_QUOTED]
            raise ValueError(f"The files must be those of {CHECKSUM_FILE}. Received: {what}: {names}.")
    changed = [name for name in sorted(listed) if digest(folder / name) != listed[name]]
    if changed:
        raise ValueError(
            f"The files must have the sums of {CHECKSUM_FILE}. Received: changed: {', '.join(changed)}."
        )
    return f"checksums: {len(listed)} files" + (", and that of the list" if sha256 else "")


def _check_manifest(folder, manifest):
    needed = ("format", "version", "kind", "limits", "signatures", "made_with", "needs_tensorflow_serving")
    missing = [key for key in needed if key not in manifest]
    if missing:
        raise ValueError(f"manifest.json holds {', '.join(needed)}. Received: none of {', '.join(missing)}.")
    if manifest["format"] != 1:
        raise ValueError(f"manifest.json must be of format 1. Received: {_quoted(manifest['format'])}.")
    name = folder.resolve().name
    if manifest["version"] != versions.number_of(name):
        raise ValueError(
            f"A version's folder has its number. Received: {name}, version {_quoted(manifest['version'])}."
        )
    if not re.fullmatch(r"\w{1,80}", str(manifest["kind"]), re.ASCII):
        raise ValueError(f"manifest.json holds the kind of model. Received: {_quoted(manifest['kind'])}.")
    if not isinstance(manifest.get("certificate", {}), dict):
        raise ValueError("manifest.json holds the sums of the certificate by name. Received: something else.")
    if not isinstance(manifest["signatures"], dict):
        raise ValueError("manifest.json holds the signatures by name. Received: other signatures.")
    return f"manifest: {manifest['kind']}, version {manifest['version']}"


def _described(compiled):
    """What the manifest says of XLA."""
    if compiled is None:
        return "no XLA"
    return f"XLA of the shapes {_quoted(compiled)}: a server on CPUs needs {SERVER_FLAG}"


def _is_sample(sample):
    if not isinstance(sample, dict) or not {"signature_name", "inputs", "outputs"} <= sample.keys():
        return False
    return isinstance(sample["inputs"], dict) and isinstance(sample["outputs"], dict)


def _replay(folder, samples):
    """Loads and asks the model in a process of its own: number of weights, their sum, and the answers."""
    program = Path(__file__).with_name("replay.py")
    requests = [{key: sample[key] for key in ("signature_name", "inputs")} for sample in samples]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(program), str(folder.resolve())],
            input=json.dumps(requests).encode(),
            env=kept | {"CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            timeout=REPLAY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"The samples must be answered in {REPLAY_SECONDS} s. Received: no answer."
        ) from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {done.returncode}"]
        raise ValueError(f"The model must answer its samples. Received: {lines[-1][:MAX_QUOTED]}")
    found = json.loads(done.stdout)
    if found["not_finite"]:
        raise ValueError(
            "A model's weights must be finite: no NaN, no infinity. "
            f"Received: {len(found['not_finite'])} of {found['weights']} are not, the first of them "
            f"{_quoted(found['not_finite'][0])}."
        )
    return found["weights"], found["sum"], found["answers"]


def _check_answers(samples, answers):
    for number, (sample, answer) in enumerate(zip(samples, answers, strict=True)):
        wrong = [key for key in sample["outputs"] if not _same(sample["outputs"][key], answer.get(key))]
        if wrong or answer.keys() != sample["outputs"].keys():
            raise ValueError(
                "The answers must be those that were stored. Received: another one to sample "
                f"{number}, {sample['signature_name']}: {', '.join(wrong) or 'other outputs'}."
            )
    return f"answers: {len(samples)} samples, as stored"


def _same(expected, received):
    """Equal text, and numbers that are close."""
    if isinstance(expected, list):
        return (
            isinstance(received, list)
            and len(expected) == len(received)
            and all(map(_same, expected, received))
        )
    if isinstance(expected, float):
        return isinstance(received, float) and abs(expected - received) <= TOLERANCE * max(1, abs(expected))
    return expected == received


def _differences(found, expected):
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def _quoted(value):
    """A value that somebody else wrote, in ASCII and not too long."""
    return ascii(value)[:MAX_QUOTED]


def _read(path):
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} must be UTF-8. Received: {error}.") from error


def _read_json(path, kind):
    try:
        value = json.loads(_read(path))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} must be JSON. Received: {error}.") from error
    if not isinstance(value, kind):
        raise ValueError(
            f"{path.name} must be what serving.export wrote. Received: a {type(value).__name__}."
        )
    return value


if __name__ == "__main__":
    command_line.run(main)
