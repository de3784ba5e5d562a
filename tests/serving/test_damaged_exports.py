"""Any file of an export cut, changed or replaced: `verify` is right or one line; the double serves on."""

import asyncio
import json
import shutil

import hypothesis
import pytest
import tensorflow as tf
from hypothesis import strategies as st
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving import checksums, local_models, local_rest, replay, verify

from .played_server import Played
from .test_verify import relist, write

QUICK = dict(deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck))
FILES = [
    "SHA256SUMS",
    "assets.extra/samples.json",
    "assets.extra/tf_serving_warmup_requests",
    "fingerprint.pb",
    "manifest.json",
    "saved_model.pb",
    "variables/variables.data-00000-of-00001",
    "variables/variables.index",
]
# What may stand in JSON in the place of anything else.
ODD = [
    None,
    True,
    -1,
    1e308,
    2**70,
    float("nan"),
    "",
    "\ud800",
    "a\nb\x1b[31m",
    [],
    {},
    [[]],
    {"a": []},
    "x" * 999,
]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write(tmp_path_factory.mktemp("good"))


def places(value, path=()):
    """Paths to all values inside of a JSON value."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


@st.composite
def damages(draw, names=tuple(FILES)):
    """The name of a file, and a function of its bytes."""
    name = draw(st.sampled_from(names))
    where, junk = draw(st.floats(0, 1, exclude_max=True)), draw(st.binary(max_size=50))
    odd, kind = (
        draw(st.sampled_from(ODD)),
        draw(st.sampled_from(["cut", "flip", "put in", "replace", "json"])),
    )

    def damage(data):
        place = int(where * len(data))
        if kind == "json" and name.endswith(".json"):
            value = json.loads(data)
            paths = list(places(value))[1:]
            *path, last = paths[int(where * len(paths))]
            parent = value
            for key in path:
                parent = parent[key]
            parent[last] = odd
            return json.dumps(value).encode()
        if kind == "flip":
            return data[:place] + bytes(byte ^ 1 for byte in data[place : place + 1]) + data[place + 1 :]
        return {"cut": data[:place], "put in": data[:place] + junk + data[place:]}.get(kind, junk)

    return name, damage


def damaged(good, base, name, damage):
    """A copy with a damaged file, which its list of sums knows; version 2."""
    folder = base / "2"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder)
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    if name != checksums.CHECKSUM_FILE:
        relist(folder)
    return folder


@hypothesis.settings(max_examples=40, **QUICK)
@hypothesis.given(damage=damages())
def test_a_damaged_export_passes_or_is_one_line(good, tmp_path_factory, damage):
    base = tmp_path_factory.getbasetemp() / "damaged"
    folder = damaged(good, base, *damage).rename(base / "1")

    def replayed(folder, samples):
        # In this process; in its own, whatever is raised is one line.
        requests = json.loads(json.dumps(samples))
        try:
            prefix = str(folder / "variables" / "variables")
            count, wrong = replay.check_weights(tf, prefix)
            answers = [] if wrong else replay.answer(tf, str(folder), requests)
            return count, replay.weights_sum(tf, prefix), answers
        except Exception as error:
            raise ValueError("The model must answer its samples.") from error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "_replay", replayed)
        try:
            said = list(verify.verify(folder))
        except (ValueError, OSError) as error:
            said = [str(error)]
    shutil.rmtree(folder)
    for line in said:
        assert (
            len(line) < 700
            and len(line.splitlines()) == 1
            and line.encode()
            and "codec can't" not in line[:30]
        )


@hypothesis.settings(max_examples=12, **QUICK)
@hypothesis.given(damage=damages(names=FILES[2:3] + FILES[5:]))
def test_a_damaged_version_ends_and_the_old_one_is_served(good, tmp_path_factory, damage):
    folder = damaged(good, tmp_path_factory.getbasetemp() / "served", *damage)
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "m"

    async def poll():
        config = model_server_config_pb2.ModelServerConfig()
        config.model_config_list.config.add(name="m", base_path=str(folder.parent))
        models = local_models.Models(config, 1, 1)
        old = Played(lambda texts: texts)
        models.versions["m"] = {1: local_models.Version(folder, local_models.State.AVAILABLE, old)}
        await models.poll()
        status = await models.status(asked)
        models.workers.shutdown()
        models.loader.shutdown()
        return status, models.find(asked.model_spec) is old

    status, is_old = asyncio.run(poll())
    json.dumps(local_rest.as_dict(status)).encode()
    new = status.model_version_status[0]
    assert new.version == 2
    if is_old:
        assert new.state == local_models.State.END and new.status.error_message
    else:
        assert new.state == local_models.State.AVAILABLE
