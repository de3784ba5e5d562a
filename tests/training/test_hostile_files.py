"""Commands that load models, before files that are made to do harm: one line, and no harm.

What is refused is in `tests/test_model_files.py`; here, that every command looks.
"""

import shutil

import pytest

from serving import export
from tests import hostile_files
from training import average, evaluate, score, train, translate

# One of each layer: the archive, the description, the weights.
CHOSEN = ["a class by name", "a zip bomb", "an external link"]


def arguments(tiny_config, run, output):
    """Command -> (its main, arguments that make it load the run)."""
    return {
        "translate": (translate.main, ["--run", run, "5 March 2031"]),
        "evaluate": (evaluate.main, ["--run", run, "--data", "test"]),
        "score": (score.main, ["--run", run, "--data", "test"]),
        "average": (average.main, ["--run", run, "--output", output]),
        "initial": (train.main, ["--config", tiny_config, "--initial.run", run, "--output", output]),
        "export": (export.main, ["--run", run, "--output", output]),
    }


@pytest.mark.parametrize("command", ["translate", "evaluate", "score", "average", "initial", "export"])
def test_each_command_looks_before_it_loads(tiny_config, run, fails, tmp_path, monkeypatch, command):
    hostile = tmp_path / "run"
    shutil.copytree(run, hostile)
    main, given = arguments(tiny_config, hostile, tmp_path / "new")[command]
    monkeypatch.chdir(tmp_path)
    for name in CHOSEN:
        make, _ = hostile_files.FILES[name]
        for path in hostile.rglob("*.keras"):
            good = run / path.relative_to(hostile)
            make(good, path)
        message = fails(main, *given)
        assert "hostile" not in message and ".keras" in message, message
        assert any(
            rule in message for rule in ("only classes", "must not be compressed", "must not be links")
        )
    assert not (tmp_path / hostile_files.MARK).exists()
    assert not list(tmp_path.glob("new/**/*.keras")) and not (tmp_path / "new" / "1").exists()
