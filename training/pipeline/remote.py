"""A map over batches of texts whose work is done by the workers of a tf.data service, in order.

The texts go to the workers as files in a folder that all of them see: a data set may come from Python, whose
functions cannot be sent. Which worker does which batch is the dispatcher's choice, so results come in any
order, and those of a worker that died not at all. They are put in order here; one that stays away while
others wait is made by this process.
"""

import queue
import shutil
import threading
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import tensorflow as tf

# Batches whose texts lie in the folder at a time.
ROUND = 4096
# Results that wait for an earlier one.
MAX_WAITING = 256
# Seconds without any result after which the service counts as gone.
SILENCE = 60.0


class Service:
    """Workers of a tf.data service.

    Args:
        address: of the dispatcher, grpc://HOST:PORT.
        folder: for the texts; absolute, and under the same path on all workers.
    """

    def __init__(self, address: str, folder: Path):
        self.address = address
        self.folder = folder

    def mapped(self, batches: tf.data.Dataset, function) -> Iterator[tuple]:
        """As `batches.map(function)`.

        Args:
            batches: elements (source, target), strings (B,) each.
            function: becomes a graph that is sent; the models of TF Text that it uses go along.

        Raises:
            ValueError: a worker cannot read the folder or fails otherwise, or none answers.
        """
        batches, begin = iter(batches), 0
        try:
            while end := self._write(islice(batches, ROUND), begin):
                yield from self._round(function, begin, end)
                begin = end
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, batches, begin):
        """Writes the texts of a round; the number of its last batch and one, 0 if there is none."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        end = 0
        for number, sides in zip(count(begin), batches, strict=False):
            tf.io.write_file(f"{self.folder}/{number}", tf.io.serialize_tensor(tf.stack(sides)))
            end = number + 1
        return end

    def _round(self, function, begin, end):
        def result(number):
            file = tf.io.read_file(tf.strings.join([f"{self.folder}/", tf.strings.as_string(number)]))
            texts = tf.ensure_shape(tf.io.parse_tensor(file, tf.string), (2, None))
            return function(*tf.unstack(texts))

        numbers = tf.data.Dataset.range(begin, end)
        numbered = numbers.map(lambda number: (number, result(number)), tf.data.AUTOTUNE)
        answers, waiting = _Answers(numbered, self.address), {}
        try:
            for wanted in range(begin, end):
                while wanted not in waiting and len(waiting) < MAX_WAITING:
                    answer = answers.next()
                    if answer is None:
                        break
                    if answer[0] >= wanted:
                        waiting[int(answer[0])] = answer[1]
                yield waiting.pop(wanted) if wanted in waiting else result(tf.constant(wanted, tf.int64))
        finally:
            answers.close()


class _Answers:
    """What the service gives for a data set, in any order.

    A thread asks: a call that waits cannot be ended.
    """

    def __init__(self, dataset, address):
        self.address = address
        self.found = queue.Queue(maxsize=8)
        self.closed = threading.Event()
        self.ended = False
        threading.Thread(target=self._ask, args=(dataset,), daemon=True).start()

    def next(self):
        """The next element, None if there is no further one."""
        if self.ended:
            return None
        try:
            found = self.found.get(timeout=SILENCE)
        except queue.Empty:
            raise ValueError(
                f"The service must have a dispatcher and workers that answer within {SILENCE:.0f} s. "
                f"Received: nothing from {self.address}; the same command goes on."
            ) from None
        if isinstance(found, tf.errors.OpError):
            raise ValueError(
                "The workers must be able to do the work, and have the folder under the same path. "
                f"Received: {self.address}: {found.message.splitlines()[0]}"
            ) from found
        self.ended = found is None
        return found

    def close(self):
        """Lets the thread go."""
        self.closed.set()
        while not self.found.empty():
            self.found.get()

    def _ask(self, dataset):
        service = tf.data.experimental.service
        end = None
        try:
            policy = service.ShardingPolicy.DYNAMIC
            for element in dataset.apply(service.distribute(policy, self.address)):
                self.found.put(element)
                if self.closed.is_set():
                    return
        except tf.errors.OpError as error:
            end = error
        self.found.put(end)
