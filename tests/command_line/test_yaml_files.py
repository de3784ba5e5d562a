"""YAML: read as on the command line, and nothing that would be misunderstood or would end the interpreter."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from command_line import messages, yaml_files

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model: {num_layers: 2}\nfit: {}\nmodel: {hidden_dim: 8}", "'model' stands twice .* line 3"),
        ("{a: 1, a: 2}", "'a' stands twice"),
        ("a: &a [*a]", "holds itself"),
        ("a: &a {b: *a}", "holds itself"),
        ("[" * 2000, "nested deeper"),
        ("[" * 200_000, "nested deeper"),
        ("\n".join(" " * depth + "-" for depth in range(300)), "nested deeper"),
        (LAUGHS, "more than 100000 values"),
        ("!!int ''", "index out of range"),
        ("!!python/object/apply:os.system [true]", "constructor"),
        ("? [1]\n: 2", "unhashable"),
    ],
)
def test_what_nobody_would_write_is_refused_in_a_line_that_names_the_file(tmp_path, text, reason):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(
        ValueError, match=f"config.yaml must be YAML in UTF-8. Received: .*{reason}"
    ) as caught:
        yaml_files.read(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_what_is_no_utf_8_names_the_file(tmp_path):
    (tmp_path / "config.yaml").write_bytes(b"data: \xff\n")
    with pytest.raises(ValueError, match="config.yaml must be YAML in UTF-8"):
        yaml_files.read(tmp_path / "config.yaml")


def test_numbers_are_those_of_the_command_line_and_anchors_may_be_used_again():
    text = "{a: 1e-3, b: .5, c: -.inf, d: 7, e: 2020-01-01, f: &f [1, 2], g: *f, h: {<<: {i: 1}, i: 2}}"
    assert yaml_files.load(text) == {
        "a": 0.001,
        "b": 0.5,
        "c": float("-inf"),
        "d": 7,
        "e": "2020-01-01",
        "f": [1, 2],
        "g": [1, 2],
        "h": {"i": 2},
    }


def test_a_very_long_message_is_cut():
    assert len(messages.one_line("x" * 200_000)) < 2100
    assert messages.one_line("a\n  b") == "a b"


PIECES = st.sampled_from([*': \n-[]{}|"1\t', "a", "&a", "*a", "<<", "!!int"])


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=20).map("".join), st.text(max_size=30)))
def test_any_text_is_a_value_or_a_yaml_error(text):
    try:
        yaml_files.load(text)
    except yaml.YAMLError:
        pass
