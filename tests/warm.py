"""Processes that start at once: a Python that has imported TensorFlow and Keras forks for each.

    with warm.Python(folder) as python:
        subprocess.run([python, "-m", "training.train", ...])

Each is a process of its own, with its folder, environment, exit status and signals, that spares the five
seconds of the imports; what it starts by `sys.executable` does so too. What TensorFlow says while it is
imported stays visible: the first import of it writes `NOISE` to file descriptor 2, as the real one would.
"""

import contextlib
import gc
import importlib.abc
import importlib.machinery
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import time

NOISE = "W0000 start-up noise"
# What is imported before the commands; of these the first two are noisy.
IMPORTED = ("tensorflow", "keras", "tensorflow_text", "sacrebleu", "jsonargparse", "yaml")


class Python:
    """While it is entered there is a program in a folder: the path that it gives, whose name is "python"."""

    def __init__(self, folder):
        self.socket, self.python = folder / "socket", folder / "python"
        command = [sys.executable, "-IS", __file__, "ask", str(self.socket)]
        self.python.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        self.python.chmod(0o755)

    def __enter__(self):
        command = [sys.executable, __file__, "serve", self.socket, self.python]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while not self.socket.exists():
            assert self.process.poll() is None
            time.sleep(0.05)
        return self.python

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


class Noisy(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives modules that are there already, and says what their first import would."""

    def __init__(self, names):
        self.modules = {name: sys.modules.pop(name) for name in names}

    def find_spec(self, fullname, path, target=None):
        if fullname in self.modules:
            return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec):
        module = self.modules.pop(spec.name)
        self.spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self.spec
        os.write(2, f"{NOISE}\n".encode())


def serve(path, python):
    """Forks for whoever asks at a socket."""
    sys.executable = python
    for name in IMPORTED:
        __import__(name)
    # Else each child would look for garbage among all of it at its end.
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".new")
    listener.listen()
    os.rename(path + ".new", path)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(wait()))
    while True:
        connection, _ = listener.accept()
        wait()
        _, files, _, _ = socket.recv_fds(connection, 1, 3)
        if os.fork() == 0:
            listener.close()
            return answer(connection, files)
        connection.close()
        for file in files:
            os.close(file)


def wait():
    """For the children that have ended: their seconds count as this process's."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def answer(connection, files):
    """Tells the process id of a command, and how it ended; or is the command."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    arguments, folder, environment = json.loads(connection.makefile().readline())
    pid = os.fork()
    if pid:
        connection.sendall(f"{pid}\n".encode())
        ended = 0
        while not ended:
            if select.select([connection], [], [], 0.02)[0]:
                os.kill(pid, signal.SIGKILL)  # who asked was killed
            ended, status = os.waitpid(pid, os.WNOHANG)
        with contextlib.suppress(OSError):
            connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.meta_path.insert(0, Noisy(IMPORTED[:2]))
    flags = set()
    while arguments[0] in ("-I", "-P", "-u"):
        flags.add(arguments.pop(0))
    isolated, safe = "-I" in flags, "-P" in flags
    option, sys.argv = arguments[0], arguments[1:]
    given = [] if isolated else [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    own = given if isolated or safe else [folder, *given]
    sys.path[:1] = own
    if option == "-m":
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif option == "-c":
        code, sys.argv[0] = sys.argv[0], "-c"
        exec(code, {"__name__": "__main__"})
    else:
        beside = [] if isolated or safe else [os.path.dirname(os.path.abspath(option))]
        sys.path[: len(own)] = [*beside, *given]
        sys.argv = arguments
        runpy.run_path(option, run_name="__main__")


def ask(path, *arguments):
    """Has a command run, hands signals on to it, and ends as it does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        socket.send_fds(connection, [b"x"], [0, 1, 2])
        connection.sendall((json.dumps([arguments, os.getcwd(), dict(os.environ)]) + "\n").encode())
        lines = connection.makefile()
        pid = int(lines.readline())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os.kill(pid, number))
        status = int(lines.readline())
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:])
