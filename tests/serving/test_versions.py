"""Which folders are versions: what TF Serving reads as int64, for all commands alike."""

import asyncio

import pytest
from tensorflow_serving.apis import model_management_pb2, predict_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving import export, local_models, local_server, saved_model, versions
from serving.local_servable import StatusError

from .played_server import Played

NEWEST = 2**63 - 1
NO_VERSIONS = ["", "-1", "1 ", " 1", "1.0", "1e3", "0x1", "\u0663", "\u00b2", str(2**63), "9" * 250, "v1"]


@pytest.mark.parametrize("name", [*NO_VERSIONS, "9" * 5000, "1\n"])
def test_what_is_no_int64_is_no_version(name):
    assert versions.number_of(name) is None
    with pytest.raises(ValueError, match="its digits alone. Received: "):
        versions.given(name)


def test_zeros_before_a_number_are_read_and_not_given():
    assert [versions.number_of(name) for name in ("0", "000", "7", "0007", str(NEWEST))] == [
        0,
        0,
        7,
        7,
        NEWEST,
    ]
    assert versions.number_of("0" * 5000 + "1") == 1
    assert versions.given("7") == 7 and versions.given(None) is None
    with pytest.raises(ValueError, match="Received: '007'"):
        versions.given("007")


def test_other_names_do_not_count_for_the_next_version_nor_for_those_to_keep_nor_for_the_server(tmp_path):
    for name in [*NO_VERSIONS[1:], "2", "0003"]:
        (tmp_path / name).mkdir()
    assert saved_model.choose_version(tmp_path) == 4
    assert [path.name for path in saved_model.remove_older(tmp_path, 3, keep=1)] == ["2"]
    config = model_server_config_pb2.ModelConfig(name="m", base_path=str(tmp_path))
    assert local_models.aspired(config) == {3: tmp_path / "0003"}
    config.model_version_policy.all.SetInParent()
    assert list(local_models.aspired(config)) == [3]


def test_of_two_names_for_one_number_the_last_is_served(tmp_path):
    for name in ("01", "1", "001"):
        (tmp_path / name).mkdir()
    config = model_server_config_pb2.ModelConfig(name="m", base_path=str(tmp_path))
    assert local_models.aspired(config) == {1: tmp_path / "1"}


def test_there_is_a_last_version(tmp_path):
    (tmp_path / str(NEWEST)).mkdir()
    with pytest.raises(ValueError, match=f"There is no version after {NEWEST}: name one"):
        saved_model.choose_version(tmp_path)
    assert saved_model.choose_version(tmp_path, 5) == 5


@pytest.mark.parametrize("version", [str(2**63), "0", "-1", "007", "1 ", "\u0663", "1_0", "1.0", ""])
def test_the_command_refuses_another_version_and_writes_nothing(run_folder, tmp_path, version):
    with pytest.raises(ValueError, match="A version is a "):
        export.main(["--run", str(run_folder), "--output", str(tmp_path / "out"), f"--version={version}"])
    assert not (tmp_path / "out").exists()


def test_a_models_folder_that_is_gone_for_a_while_changes_nothing(tmp_path):
    # As in TF Serving: a disk that is not mounted is no order to unload.
    config = model_server_config_pb2.ModelServerConfig()
    config.model_config_list.config.add(name="m", base_path=str(tmp_path / "gone"))
    message = f"Could not find base path {tmp_path}/gone for servable m with error "

    async def asked():
        models, played = local_models.Models(config, 1, 1), Played(lambda texts: texts)
        models.versions["m"] = {1: local_models.Version(tmp_path, local_models.State.AVAILABLE, played)}
        with pytest.raises(StatusError, match=message):
            await models.poll()
        request = model_management_pb2.ReloadConfigRequest(config=config)
        request.config.model_config_list.config[0].name = "other"
        with pytest.raises(StatusError, match="for servable other"):
            await models.reload(request)
        (tmp_path / "gone").mkdir()
        spec = predict_pb2.PredictRequest().model_spec
        spec.name = "m"
        assert models.find(spec) is played and list(models.configs) == ["m"]
        await models.poll()
        with pytest.raises(StatusError, match="Servable not found"):
            models.find(spec)

    asyncio.run(asked())


def test_the_double_does_not_start_without_the_folder(tmp_path):
    with pytest.raises(
        ValueError, match="must have .* a folder of its own. Received: Could not find base path"
    ):
        local_server.main(["--model_name", "m", "--model_base_path", str(tmp_path / "absent")])


def test_a_model_that_is_named_twice_is_refused(tmp_path):
    path = tmp_path / "models.config"
    config = f"config {{ name: 'm' base_path: '{tmp_path}' }} "
    path.write_text(f"model_config_list {{ {2 * config} }}")
    with pytest.raises(ValueError, match="Received: Illegal to list model m multiple times in config list"):
        local_server.main(["--model_config_file", str(path)])
