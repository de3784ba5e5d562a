"""The Python that starts at once does what a Python does."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests import warm

SAY = "import os, sys; print(os.getcwd(), os.environ['WORD'], sys.argv[1:]); print('no', file=sys.stderr)"


def run(python, *arguments, **options):
    return subprocess.run([python, *arguments], capture_output=True, text=True, **options)


@pytest.mark.parametrize(
    ("program", "status"),
    [(SAY, 0), ("import sys; sys.exit('no')", 1), ("import sys; sys.exit(7)", 7), ("1 / 0", 1)],
)
def test_a_process_says_and_ends_as_by_python(warm_python, tmp_path, program, status):
    options = {"cwd": tmp_path, "env": os.environ | {"WORD": "a\nb"}}
    found, expected = (run(each, "-c", program, "x", "", **options) for each in (warm_python, sys.executable))
    assert found.returncode == expected.returncode == status
    assert found.stdout == expected.stdout
    assert found.stderr.splitlines()[-1:] == expected.stderr.splitlines()[-1:]


def test_modules_and_files_are_run_and_isolated_ones_do_not_see_the_folder(warm_python, tmp_path):
    (tmp_path / "own.py").write_text("import sys; print(__name__, sys.stdin.read(), sys.argv[1:])")
    for arguments in (["-m", "own"], ["own.py"]):
        done = run(warm_python, *arguments, "x", cwd=tmp_path, input="in")
        assert done.stdout == "__main__ in ['x']\n", done.stderr
    assert "No module named 'own'" in run(warm_python, "-I", "-c", "import own", cwd=tmp_path).stderr


def test_the_noise_of_an_import_is_heard_unless_it_is_hidden(warm_python):
    loud = run(warm_python, "-c", "import keras")
    assert loud.returncode == 0 and warm.NOISE in loud.stderr
    hidden = "from command_line import quiet\nwith quiet.start_up():\n    import tensorflow, keras"
    quiet = run(warm_python, "-c", f"{hidden}\nprint(keras.ops.ones(2).numpy().sum(), tensorflow.__name__)")
    assert (quiet.stdout, quiet.stderr) == ("2.0 tensorflow\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_process(warm_python, number):
    program = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    process = subprocess.Popen([warm_python, "-c", program], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    process.send_signal(number)
    assert process.wait(timeout=30) == -number
    process.stdout.close()
    while psutil.pid_exists(pid):
        time.sleep(0.01)
