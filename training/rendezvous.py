"""The workers meet before TensorFlow connects them, and find out what would keep them from working together.

TensorFlow waits an hour for a worker that does not come, deaf to Ctrl-C and SIGTERM, and workers with other
numbers of devices wait for each other for ever. So each first tells the chief its configuration, over the
port that TensorFlow will use, and all go on together or end together.
"""

import contextlib
import json
import socket
import time

ANSWER = 10.0  # seconds
# Seconds in which all must have come.
PATIENCE = 600.0
# Between two looks for the chief.
PAUSE = 0.5


def meet(workers: list[str], index: int, config: dict) -> None:
    """Returns when all workers are there, with the same configuration.

    Args:
        workers: addresses of all, HOST:PORT, the chief's first.
        index: place of this one.
        config: plain values, in dictionaries if wanted.

    Raises:
        ValueError: on all workers if one does not come within `PATIENCE`, has another configuration or the
            place of another; on this one if its port is in use.
    """
    _check_free(int(workers[index].rpartition(":")[2]))
    config = {"cluster.worker": workers} | config
    said = json.loads(json.dumps({"index": index, "config": config}))  # tuples are lists to the others
    verdict = _listen(workers, said) if index == 0 else _ask(workers[0], said)
    if verdict:
        raise ValueError(verdict)


def _listen(workers, own):
    """The chief: hears all, and answers all."""
    deadline = time.monotonic() + PATIENCE
    heard = [own]
    with contextlib.ExitStack() as open_:
        server = open_.enter_context(socket.create_server(("", int(workers[0].rpartition(":")[2]))))
        connections = []
        while len(heard) < len(workers):
            server.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                connection = open_.enter_context(server.accept()[0])
            except TimeoutError:
                break
            connection.settimeout(ANSWER)
            try:
                with connection.makefile(encoding="utf-8") as file:
                    said = json.loads(file.readline())
                if said.keys() == own.keys():
                    heard.append(said)
                    connections.append(connection)
                    continue
            except (OSError, ValueError, AttributeError):
                pass
            connection.close()  # no worker: a scan of ports, or what is left of an earlier training
        verdict = _verdict(workers, heard)
        for connection in connections:
            with contextlib.suppress(OSError):  # one that has gone; the others will miss it
                connection.sendall(f"{json.dumps(verdict)}\n".encode())
    return verdict


def _verdict(workers, heard):
    """What keeps the workers from working together; an empty text if nothing does."""
    own, *others = heard
    for said in others:
        for name, (first, other) in _differing(own["config"], said["config"]).items():
            return (
                f"All workers must have the same configuration. Received: {name}: {first!r} of worker 0 and "
                f"{other!r} of worker {said['index']}."
            )
    indices = [said["index"] for said in heard]
    if twice := [index for index in indices if indices.count(index) > 1]:
        return f"Each worker must have a place of its own in TF_CONFIG. Received: two with index {twice[0]}."
    if missing := [f"{index} ({at})" for index, at in enumerate(workers) if index not in indices]:
        return (
            f"All workers must come within {PATIENCE:.0f} s. Received: {len(heard)} of {len(workers)}, "
            f"without worker {', '.join(missing)}."
        )
    return ""


def _differing(first, other, prefix=""):
    """Name -> both values, of what differs between two dictionaries."""
    found = {}
    for name in first | other:
        both = first.get(name), other.get(name)
        if all(isinstance(value, dict) for value in both):
            found |= _differing(*both, f"{prefix}{name}.")
        elif both[0] != both[1]:
            found[prefix + name] = both
    return found


def _ask(chief, said):
    """Any other worker: the chief's verdict."""
    host, _, port = chief.rpartition(":")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host, int(port)), ANSWER) as connection:
                connection.sendall(f"{json.dumps(said)}\n".encode())
                # The chief may have come later than this one, and waits as long for others.
                connection.settimeout(PATIENCE + ANSWER)
                with connection.makefile(encoding="utf-8") as file:
                    return str(json.loads(file.readline()))
        except (OSError, ValueError):  # not there yet, or something else is
            time.sleep(PAUSE)
    return f"The first worker must come within {PATIENCE:.0f} s. Received: no answer from {chief}."


def _check_free(port):
    """Raises ValueError unless this machine has such a port and nothing listens on it."""
    try:
        socket.create_server(("", port)).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"The port must be a free one, 0 to 65535. Received: {port}: {error}.") from error
