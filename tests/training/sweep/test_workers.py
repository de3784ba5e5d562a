"""Several workers and their chief, over the real protocol; the workers are threads."""

import socket
import threading
import time

import grpc
import pytest

from tests.training.interruptions import Killed
from tests.training.sweep import fakes
from training.sweep import results, settings, worker
from training.sweep.chief import Chief
from training.sweep.tuner import SweepTuner

# How long a worker waits for its chief.
ANSWER = "keras_tuner.src.distribute.oracle_client.TIMEOUT"


class Worker:
    """A worker in a thread, with as much of a process as a chief asks for."""

    def __init__(self, monkeypatch, sweep, folder, port, number, trainings):
        for name, value in zip(worker.VARIABLES, (f"worker-{number}", "127.0.0.1", str(port)), strict=True):
            monkeypatch.setenv(name, value)
        self.tuner = SweepTuner(sweep, folder, trainings)
        self.thread = threading.Thread(target=self.search, daemon=True)
        self.thread.start()

    def search(self):
        try:
            self.tuner.search()
        except (Killed, grpc.RpcError):
            pass

    def poll(self):
        return None if self.thread.is_alive() else 0


@pytest.fixture
def chief(tmp_path, monkeypatch):
    """Makes a chief of a sweep in tmp_path, and one worker for each of the given trainings."""
    monkeypatch.setattr(ANSWER, 60.0)
    sweep = fakes.make(max_trials=6)
    settings.enter(sweep, tmp_path / "sweep")
    tuner = SweepTuner(sweep, tmp_path / "sweep", None)
    return tuner, Chief(tuner.oracle, "127.0.0.1:0")


def start(monkeypatch, chief, *trainings):
    tuner, server = chief
    return {
        f"worker-{number}": Worker(
            monkeypatch, fakes.make(max_trials=6), tuner.folder, server.port, number, each
        )
        for number, each in enumerate(trainings)
    }


class Together(fakes.Trainings):
    """The first training of each waits until the other's has begun too."""

    barrier = None

    def __call__(self, folder, config):
        if not self.ended:
            self.barrier.wait(timeout=300)
        super().__call__(folder, config)


def test_two_workers_share_the_trials(tmp_path, monkeypatch, chief):
    both = [Together(), Together()]
    both[0].barrier = both[1].barrier = threading.Barrier(2)
    workers, counts = start(monkeypatch, chief, *both), []
    chief[1].serve(tmp_path / "sweep", workers, after=counts.append)
    alone = fakes.search_alone(fakes.make(max_trials=6), tmp_path / "alone", monkeypatch)
    assert both[0].ended and both[1].ended
    assert sorted(both[0].ended + both[1].ended) == ["0", "1", "2", "3", "4", "5"]
    assert fakes.trials_of(chief[0]) == alone
    assert counts[-1] == 6


def test_the_trial_of_a_worker_that_died_goes_to_another(tmp_path, monkeypatch, chief):
    dies, lives = Together(), Together()
    dies.barrier = lives.barrier = threading.Barrier(2)
    dies.kill_in = 0
    chief[1].serve(tmp_path / "sweep", start(monkeypatch, chief, dies, lives))
    assert sorted(lives.ended) == ["0", "1", "2", "3", "4", "5"] and not dies.ended
    assert {status for status, _, _ in fakes.trials_of(chief[0]).values()} == {"COMPLETED"}


def test_a_chief_whose_workers_all_died_ends_and_the_sweep_goes_on(tmp_path, monkeypatch, chief):
    both = [Together(), Together()]
    both[0].barrier = both[1].barrier = threading.Barrier(2)
    for trainings in both:
        trainings.kill_in = 0
    with pytest.raises(
        ValueError, match="needs workers until its trials are over. Received: none .* 0 trials"
    ):
        chief[1].serve(tmp_path / "sweep", start(monkeypatch, chief, *both))
    rest = fakes.Trainings()
    found = fakes.search_alone(fakes.make(max_trials=6), tmp_path / "sweep", monkeypatch, rest)
    assert len(found) == len(rest.ended) == 6


def test_a_worker_from_elsewhere_that_falls_silent_loses_its_trial(tmp_path, monkeypatch, chief, capsys):
    forever = threading.Event()

    class Stuck(Together):
        def __call__(self, folder, config):
            self.barrier.wait(timeout=300)
            forever.wait()

    class Lives(Together):
        def __call__(self, folder, config):
            super().__call__(folder, config)
            while len(self.ended) == 1 and not chief[0].oracle.has_interrupted:
                folder.write_seconds(folder.seconds + 1)  # a sign of life
                time.sleep(0.05)

    stuck, lives = Stuck(), Lives()
    stuck.barrier = lives.barrier = threading.Barrier(2)
    start(monkeypatch, chief, stuck, lives)
    chief[1].serve(tmp_path / "sweep", {}, silence=3.0)
    assert sorted(lives.ended) == ["0", "1", "2", "3", "4", "5"]
    assert "heard of worker-0 for 3 s" in capsys.readouterr().out
    monkeypatch.setattr(ANSWER, 0.1)
    forever.set()


def test_a_chief_of_whom_nobody_asks_ends(tmp_path, chief):
    with pytest.raises(ValueError, match="needs workers"):
        chief[1].serve(tmp_path / "sweep", {}, silence=0.3)


def test_a_port_in_use_is_refused(chief):
    with pytest.raises(ValueError, match=f"port that is free. Received: 127.0.0.1:{chief[1].port}"):
        Chief(chief[0].oracle, f"127.0.0.1:{chief[1].port}")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ValueError, match="port that is free"):
            Chief(chief[0].oracle, f"127.0.0.1:{other.getsockname()[1]}")


def test_a_result_that_comes_twice_counts_once(tmp_path):
    tuner = fakes.search(fakes.make(), tmp_path / "sweep", fakes.Trainings())
    before = fakes.trials_of(tuner)
    trial = tuner.oracle.trials["1"]
    tuner.oracle.update_trial("1", {"val_loss": -1.0})
    tuner.oracle.end_trial(trial)
    assert trial.metrics.get_best_value("val_loss") == trial.score
    assert fakes.trials_of(tuner) == before and tuner.oracle.end_order == ["0", "1", "2"]


def test_a_worker_without_its_chief_ends_in_one_line(tmp_path, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in zip(worker.VARIABLES, ("worker-0", "127.0.0.1", str(port)), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("training.sweep.chief.answer_within", lambda: monkeypatch.setattr(ANSWER, 0.5))
    with pytest.raises(ValueError, match="needs a chief. Received: DEADLINE_EXCEEDED"):
        worker.work(fakes.make(), tmp_path / "sweep", "benchmarks.sleeping_trial")


@pytest.mark.parametrize(
    "values, expected",
    [
        ((None, None, None), "alone"),
        (("chief", "10.0.0.1", "8000"), "chief"),
        (("worker-3", "10.0.0.1", "8000"), "worker"),
        (
            ("worker-3", None, "8000"),
            "set together. Received: only KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_PORT",
        ),
        (("chief", "10.0.0.1", "http"), "must be a port, 1 to 65535. Received: http"),
        (("chief", "10.0.0.1", "70000"), "must be a port"),
    ],
)
def test_the_environment_says_what_a_process_is(monkeypatch, values, expected):
    for name, value in zip(worker.VARIABLES, values, strict=True):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    if expected in ("alone", "chief", "worker"):
        assert worker.role() == expected
    else:
        with pytest.raises(ValueError, match=expected):
            worker.role()


def test_the_reason_of_a_worker_reaches_its_chief(tmp_path, monkeypatch, chief):
    def loss(config, epoch):
        if config.model.dropout > 0.3:
            raise ValueError("too much dropout")
        return 1.0

    chief[1].serve(tmp_path / "sweep", start(monkeypatch, chief, fakes.Trainings(loss)))
    reasons = {row["model.dropout"] > 0.3: row["reason"] for row in results.rows(chief[0])}
    assert reasons == {True: "too much dropout", False: None}
