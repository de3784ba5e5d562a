"""Workers meet before they begin: all go on, or all end with the same line."""

import socket
import threading

import pytest

from training import rendezvous
from training.launch import free_ports


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(rendezvous, "PATIENCE", 30.0)
    monkeypatch.setattr(rendezvous, "PAUSE", 0.01)


def meet(configs, indices=None, workers=None):
    """What each of some workers is told; an empty text if it goes on."""
    workers = workers or [f"127.0.0.1:{port}" for port in free_ports(len(configs))]
    told = [None] * len(configs)

    def one(place, index):
        try:
            rendezvous.meet(workers, index, configs[place])
            told[place] = ""
        except ValueError as error:
            told[place] = str(error)

    indices = range(len(configs)) if indices is None else indices
    threads = [threading.Thread(target=one, args=numbers) for numbers in enumerate(indices)]
    for thread in reversed(threads):  # the chief comes last
        thread.start()
    for thread in threads:
        thread.join()
    return told


def test_workers_with_the_same_configuration_go_on():
    assert meet([{"fit": {"freeze": ("a",), "seed": 1}, "x": None}] * 3) == [""] * 3


def test_what_differs_is_told_to_all():
    first, other = (
        {"fit": {"seed": 0}, "data": {"name": "dates"}},
        {"fit": {"seed": 3}, "data": {"name": "dates"}},
    )
    told = meet([first, first, other])
    assert "same configuration. Received: fit.seed: 0 of worker 0 and 3 of worker 2." in told[0]
    assert len(set(told)) == 1
    assert "x: None of worker 0 and 1 of worker 1" in meet([{}, {"x": 1}])[1]


def test_one_that_does_not_come_is_named_to_all(monkeypatch):
    monkeypatch.setattr(rendezvous, "PATIENCE", 0.5)
    workers = [f"127.0.0.1:{port}" for port in free_ports(3)]
    told = meet([{}, {}], [0, 1], workers)
    assert told[0] == told[1]
    assert f"within 0 s. Received: 2 of 3, without worker 2 ({workers[2]})" in told[0]
    assert f"no answer from {workers[0]}" in meet([{}], [1], workers)[0]


def test_a_port_in_use_is_told():
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        for index in (0, 1):
            workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
            workers[index] = taken
            assert "must be a free one" in meet([{}], [index], workers)[0]


def test_other_clusters_are_told():
    ports = free_ports(3)
    workers = [f"127.0.0.1:{port}" for port in ports]
    found = []
    other = threading.Thread(target=lambda: found.extend(meet([{}], [1], [*workers[:2], "elsewhere:1"])))
    other.start()
    assert "cluster.worker: [" in meet([{}], [0], workers[:2])[0]
    other.join()
    assert "cluster.worker: [" in found[0]


def test_a_worker_that_comes_twice_ends_both():
    workers = [f"127.0.0.1:{port}" for port in free_ports(3)]
    told, said = [], {"index": 1, "config": {"cluster.worker": workers}}

    def ask():
        told.append(rendezvous._ask(workers[0], said))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    with pytest.raises(ValueError, match="Received: two with index 1"):
        rendezvous.meet(workers, 0, {})
    for thread in threads:
        thread.join()
    assert len(told) == 2 and all("two with index 1" in text for text in told)


def test_who_is_no_worker_is_ignored(monkeypatch):
    monkeypatch.setattr(rendezvous, "ANSWER", 0.2)
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    found, strangers = [], []
    chief = threading.Thread(target=lambda: found.append(rendezvous.meet(workers, 0, {})))
    chief.start()
    for said in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\n",
        b"[]\n",
        b'{"index": 1}\n',
        b"",
        None,
    ):
        while chief.is_alive():
            try:
                stranger = socket.create_connection(("127.0.0.1", int(workers[0].rpartition(":")[2])))
                strangers.append(stranger)
                break
            except ConnectionRefusedError:
                pass
        if said is not None:
            stranger.sendall(said)
            stranger.close()
    rendezvous.meet(workers, 1, {})
    chief.join()
    for stranger in strangers:
        stranger.close()
    assert found == [None]
