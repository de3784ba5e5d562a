"""Versions come and go while requests run: none fails, and every answer is from one version."""

import re

import pytest

from benchmarks import serving_swaps
from benchmarks.serving_double import server_config, states
from serving.client_errors import ServingError


@pytest.fixture
def own_config(double, configs):
    """Gives the server its own configuration back."""
    yield
    # Labels only once the versions are loaded.
    bare = re.sub(r"version_labels \{.*?\}", "", configs["both"])
    for both in (bare, configs["both"]):
        double.reload(server_config(*{**configs, "both": both}.values()))


def test_new_versions_take_over_without_a_gap(double, base_paths):
    figures = serving_swaps.swaps(double, base_paths["echo"], "echo", first=3, count=3)
    assert figures["failed"] == {} and figures["not of one version"] == 0
    assert figures["versions seen"] == [2, 3, 4, 5]
    with double.client("echo") as client:
        assert states(client) == {2: "END", 3: "END", 4: "END", 5: "AVAILABLE"}


def test_a_damaged_version_leaves_the_old_one_serving(double, base_paths):
    figures = serving_swaps.damaged(double, base_paths["echo"], "echo", first=100)
    assert figures["damaged versions refused"] == "7 of 7", figures
    assert figures["old version alone answered"]
    assert figures["failed"] == {} and figures["not of one version"] == 0
    assert all(figures["errors"].values())


def test_rollbacks_by_label_and_by_version_policy(double, base_paths, configs, own_config):
    others = [config for name, config in configs.items() if name != "both"]
    figures = serving_swaps.rollbacks(double, base_paths["echo"], "both", others)
    for kind in ("label", "policy"):
        assert figures[f"rollback by {kind}, failed"] == {}
        assert figures[f"rollback by {kind}, not of one version"] == 0


def test_a_label_for_a_version_that_is_not_loaded_is_refused_and_changes_nothing(double, base_paths, configs):
    wrong = serving_swaps.model_config("both", base_paths["echo"], labels={"stable": 9})
    message = (
        "FAILED_PRECONDITION: Request to assign label to version 9 of model both, which is not currently "
        "available for inference"
    )
    with pytest.raises(ServingError, match=message):
        double.reload(server_config(wrong))
    with double.client("both", label="stable") as client:
        assert client.predict({"text": ["a"]}) == {"translation": ["a 1"]}


def test_a_model_that_a_configuration_omits_is_unloaded(double, configs, own_config):
    double.reload(server_config(*(config for name, config in configs.items() if name != "odd")))
    with double.client("odd") as client:
        with pytest.raises(ServingError, match=r"NOT_FOUND: Servable not found for request: Latest\(odd\)"):
            client.predict({"text": ["a"]})
        assert states(client) == {1: "END"}


def test_all_versions_are_served_if_the_policy_says_so(double, base_paths, configs, own_config):
    every = serving_swaps.model_config("both", base_paths["echo"], "all {}")
    double.reload(server_config(*configs.values()).replace(configs["both"], every))
    with double.client("both") as client:
        found = states(client)
        assert len(found) >= 2 and set(found.values()) == {"AVAILABLE"}
