"""Makes sentence pairs of texts in one language: python -m training.synthesize --run RUN --input FILE ...

The run translates the file, a text a line, and each line of the output is a source, a tab, its target:

--translation source   back-translation (Sennrich et al. 2016): the file is in the language that a model is to
                       write, the run translates from it, and its translations are the sources.
--translation target   sequence-level distillation (Kim and Rush 2016): the file has the sources of the
                       training data, and a teacher, or an ensemble (--ensemble), writes the targets.

With --n_best N each text gives N pairs. Lines without text and empty translations are left out, and what the
filters name; how many is said at the end. After an interruption the same command goes on: no pair is lost or
comes twice. docs/data.md says how a training mixes such pairs with others.
"""

import itertools
import json
import os
from collections import Counter
from pathlib import Path
from typing import Literal

import command_line
from command_line import lines, quiet
from command_line.search_options import SearchOptions
from training import atomic, run_folder, run_lock
from training.options import add_batch_size, check_batch_size
from training.tasks.translation import Translation

# Texts between two writes of the progress.
CHUNK = 1024
# Words of the longest phrase whose repetitions are looked for.
MAX_PHRASE = 4


def main(arguments=None) -> None:
    """Reads the command line and writes the pairs."""
    parser = command_line.parser("training.synthesize", __doc__)
    command_line.add_run(parser)
    command_line.add_checkpoint(parser)
    parser.add_argument("--input", type=Path, required=True, help="file with a text a line, UTF-8")
    parser.add_argument("--output", type=Path, required=True, help="TSV file to write")
    parser.add_argument(
        "--translation",
        type=Literal["source", "target"],
        required=True,
        help="what the translations are in the pairs, see above",
    )
    parser.add_argument(
        "--remove_copies", action="store_true", help="leave out translations that are the text"
    )
    parser.add_argument(
        "--max_length_ratio",
        type=float,
        help="leave out pairs with more tokens on one side for each of the other",
    )
    parser.add_argument(
        "--max_repeats",
        type=int,
        help=f"leave out translations that have 1 to {MAX_PHRASE} words more often than this in a row",
    )
    parser.add_argument(
        "--min_score", type=float, help="least log-probability of a translation for each token"
    )
    add_batch_size(parser, default=128)
    parser.add_class_arguments(SearchOptions, as_group=False)
    options = parser.parse_args(arguments)
    check(options)
    config = run_folder.load_config(options.run, Translation)
    search = SearchOptions.read(options).search(config.data.max_length)
    with run_lock.held(options.output):
        synthesize(options, search)


def check(options) -> None:
    """Raises ValueError if an option is out of range."""
    check_batch_size(options)
    if options.max_length_ratio is not None and not options.max_length_ratio >= 1:
        raise ValueError(
            f"`max_length_ratio` must be at least 1. Received: max_length_ratio={options.max_length_ratio}."
        )
    if options.max_repeats is not None and options.max_repeats < 1:
        raise ValueError(f"`max_repeats` must be at least 1. Received: max_repeats={options.max_repeats}.")
    if options.min_score is not None and not options.min_score <= 0:
        raise ValueError(
            f"`min_score` is a log-probability, which is at most 0. Received: min_score={options.min_score}."
        )
    if options.output.exists() and options.output.samefile(options.input):
        raise ValueError(f"`output` must be another file than the input. Received: {options.output}.")


def synthesize(options, search) -> None:
    """Writes the pairs, from where an earlier call of the same command was interrupted."""
    with quiet.start_up():
        from keras_transformer.pipelines.text_seeds import TextSeeds
        from keras_transformer.pipelines.translator import Translator
    with lines.reader(path=str(options.input)) as texts:
        check_encoding(options.input)
        translator = Translator.from_run(options.run, search, options.ensemble, options.checkpoint)
        progress = Progress(options)
        # As they stand in the pairs.
        texts = (lines.one_line(text.decode("utf-8")) for text in texts)
        seeds, chunks = TextSeeds(search), lines.chunks(texts, CHUNK)
        for skipped in itertools.islice(chunks, progress.chunks):
            seeds(skipped)
        for chunk in chunks:
            results = translator.hypotheses(chunk, options.batch_size, seeds=seeds(chunk))
            progress.add(make_pairs(translator, chunk, results, options))
    progress.end()


def check_encoding(path: Path) -> None:
    """Raises ValueError unless every line is UTF-8: signs in the place of letters would teach nothing."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"`input` must be UTF-8. Received: {path}, line {number}: {line.strip()[:40]!r}."
                ) from error


def make_pairs(translator, texts, results, options) -> list[tuple[str | None, str]]:
    """(Line of the pair, "pairs"), or (None, why it is left out), for each translation of each text."""
    rows = [
        (text, lines.one_line(hypothesis.text), hypothesis.score)
        for text, hypotheses in zip(texts, results, strict=True)
        for hypothesis in hypotheses
    ]
    if not rows:
        return []
    asked, written, scores = zip(*rows, strict=True)
    asked_lengths, lengths = (
        tokenizer.tokenize(list(side)).row_lengths().numpy() + 1  # the end token
        for tokenizer, side in (
            (translator.source_tokenizer, asked),
            (translator.target_tokenizer, written),
        )
    )
    found = []
    for text, translation, score, *sizes in zip(asked, written, scores, asked_lengths, lengths, strict=True):
        reason = rejection(text, translation, score, sizes, options)
        pair = (translation, text) if options.translation == "source" else (text, translation)
        found.append((None, reason) if reason else ("\t".join(pair), "pairs"))
    return found


def rejection(text, translation, score, lengths, options) -> str | None:
    """Why a pair is left out; None if it is not.

    Args:
        text: that was translated.
        translation: of it.
        score: its log-probability.
        lengths: tokens of both.
        options: the command's.
    """
    if not text.strip() or not translation.strip():
        return "empty"
    if options.remove_copies and text.strip() == translation.strip():
        return "copies"
    ratio = options.max_length_ratio
    if ratio is not None and max(lengths) > ratio * min(lengths):
        return "lengths"
    if options.max_repeats is not None and most_repeats(translation.split()) > options.max_repeats:
        return "repetitions"
    if options.min_score is not None and score / lengths[1] < options.min_score:
        return "scores"
    return None


def most_repeats(words: list[str]) -> int:
    """How often a phrase of 1 to `MAX_PHRASE` words stands in a row, at most: 1 if none comes twice."""
    most = 1
    for size in range(1, MAX_PHRASE + 1):
        equal = 0
        for first, second in zip(words, words[size:], strict=False):
            equal = equal + 1 if first == second else 0
            most = max(most, 1 + equal // size)
    return most


class Progress:
    """How far a file of pairs has come: beside it, until it is whole, OUTPUT.progress.

    Args:
        options: the command's.

    Raises:
        ValueError: the file is whole, or was begun by another command.
    """

    def __init__(self, options):
        from keras_transformer.saving.checkpoints import checkpoint_path
        from keras_transformer.saving.run_files import sha256

        self.output = options.output
        self.path = options.output.with_name(f"{options.output.name}.progress")
        asked = {name: str(value) for name, value in options.as_dict().items() if name != "batch_size"}
        asked["weights"] = {
            run: sha256(checkpoint_path(run, options.checkpoint)) for run in (options.run, *options.ensemble)
        }
        asked["texts"] = sha256(options.input)
        self.asked = asked
        self.chunks, self.size, self.counts = 0, 0, Counter()
        if self.path.exists():
            self._go_on()
        elif self.output.exists():
            raise ValueError(f"The file of the pairs must not exist. Received: {self.output}, which does.")
        else:
            self._write()
        self.output.touch()
        os.truncate(self.output, self.size)

    def _go_on(self):
        from keras_transformer.saving.run_files import read_json

        told = read_json(self.path)
        missing = {"asked", "chunks", "bytes", "counts"} - told.keys()
        if missing:
            raise ValueError(
                f"{self.path} must say what was asked and done; remove it and {self.output} to begin anew. "
                f"Received: it without {', '.join(sorted(missing))}."
            )
        different = [name for name, value in self.asked.items() if told["asked"].get(name) != value]
        if different:
            then, now = (asked.get(different[0]) for asked in (told["asked"], self.asked))
            raise ValueError(
                f"{self.output} was begun with other options or files: {', '.join(different)}. "
                f"Go on with those, or remove it and {self.path.name}. Received: {then} then, {now} now."
            )
        self.chunks, self.size, self.counts = told["chunks"], told["bytes"], Counter(told["counts"])
        found = self.output.stat().st_size if self.output.exists() else 0
        if found < self.size:
            raise ValueError(
                f"{self.output} must have the {self.size} bytes that were written. Received: {found}; "
                f"remove it and {self.path.name} to begin anew."
            )
        print(f"{self.output}: goes on behind {self.chunks * CHUNK:,} texts", flush=True)

    def add(self, found: list[tuple[str | None, str]]) -> None:
        """Writes what was made of the next chunk of texts."""
        data = "".join(f"{line}\n" for line, _ in found if line is not None).encode("utf-8")
        with open(self.output, "ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.chunks, self.size = self.chunks + 1, self.size + len(data)
        self.counts.update(reason for _, reason in found)
        self._write()

    def end(self) -> None:
        """The file is whole."""
        self.path.unlink()
        left_out = ", ".join(f"{count:,} {why}" for why, count in self.counts.items() if why != "pairs")
        print(f"{self.output}: {self.counts['pairs']:,} pairs; left out: {left_out or 'none'}")

    def _write(self):
        told = {"asked": self.asked, "chunks": self.chunks, "bytes": self.size, "counts": self.counts}
        atomic.write_text(self.path, json.dumps(told, indent=1))


if __name__ == "__main__":
    command_line.run(main)
