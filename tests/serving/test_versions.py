"""Which folders are versions: what TF Serving reads as int64, for all commands alike."""

import pytest
from tensorflow_serving.config import model_server_config_pb2

from serving import export, local_models, saved_model, versions

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
