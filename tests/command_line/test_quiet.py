"""Start-up noise is hidden, and an error in start-up is not."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


# The tests set them; a user does not, and sees more.
SILENCERS = ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS")


def run(program):
    """Runs a program as a user does; returns its exit status and standard error."""
    environment = {name: value for name, value in os.environ.items() if name not in SILENCERS}
    command = [sys.executable, "-c", f"import os, sys\nfrom command_line import quiet\n{program}"]
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return process.returncode, process.stderr


def test_what_is_written_inside_is_hidden_and_what_is_written_after_is_shown():
    program = """
with quiet.start_up():
    os.write(2, b"noise of C++")
    print("noise of Python", file=sys.stderr)
print("after", file=sys.stderr)
os.write(2, b"after, too")
"""
    assert run(program) == (0, "after\nafter, too")


def test_what_was_written_before_stays():
    assert run("sys.stderr.write('before ')\nwith quiet.start_up():\n    pass") == (0, "before ")


def test_a_failing_start_up_shows_the_hidden_text_and_the_error():
    status, error = run("with quiet.start_up():\n    os.write(2, b'the reason')\n    import no_such_module")
    assert status == 1
    assert "the reason" in error
    assert "No module named 'no_such_module'" in error


def test_a_crash_in_start_up_shows_where_it_was():
    status, error = run("with quiet.start_up():\n    os.abort()")
    assert status != 0
    assert "Aborted" in error and 'File "<string>", line 4' in error


def test_a_closed_standard_error_does_no_harm():
    assert run("os.close(2)\nwith quiet.start_up():\n    pass\nprint('end')")[0] == 0


def test_the_module_starts_neither_keras_nor_tensorflow():
    program = (
        "import command_line\nassert not {'keras', 'tensorflow', 'keras_transformer'} & set(sys.modules)"
    )
    assert run(program) == (0, "")


def test_tensorflow_starts_without_a_line_on_the_screen():
    program = """
with quiet.start_up():
    import tensorflow as tf
tf.function(lambda x: x @ x)(tf.ones((2, 2)))
"""
    assert run(program) == (0, "")
