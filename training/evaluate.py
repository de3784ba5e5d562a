"""Measures a run on a data set: python -m training.evaluate --run RUN --data test [--beam 4 ...]"""

import os
from dataclasses import replace

import command_line
from command_line import quiet
from command_line.search_options import SearchOptions
from training import lines, run_folder
from training.options import add_data

# Data sets with one right answer; the others are measured by BLEU and chrF.
EXACT = ("dates",)


def main(arguments=None):
    """Reads the command line, translates and prints the measures."""
    parser = command_line.parser("training.evaluate", __doc__)
    command_line.add_run(parser)
    add_data(parser, default="test")
    parser.add_argument("--output", type=str, help="file to write the translations to, one a line")
    # Only the best translation is measured.
    parser.add_class_arguments(SearchOptions, as_group=False, skip={"n_best"})
    options = parser.parse_args(arguments)
    search = SearchOptions.read(options)
    with lines.writer(options.output or os.devnull) as write:
        measures, translations = evaluate(
            options.run, options.data, options.data_dir, search, options.ensemble
        )
        write(map(lines.one_line, translations))
    print("\n".join(measures))


def evaluate(run, split="test", data_dir=None, search=None, ensemble=()):
    """Translates a split with the run's model and measures the result.

    Args:
        run: a run folder.
        split: "train", "validation" or "test".
        data_dir: folder with the data; the one that was trained on if None.
        search: `SearchOptions`; beam search with its defaults if None.
        ensemble: further run folders, see `Translator.from_run`.

    Returns:
        The measures, one line each with the search that it is of; and the translations.
    """
    config = run_folder.load_config(run)
    with quiet.start_up():
        from keras_transformer.translator import Translator
    search = search or SearchOptions()
    strategy = search.search(config.data.max_length)
    sources, references = load_split(config, split, data_dir)
    references = [reference.decode("utf-8") for reference in references]
    translations = Translator.from_run(run, strategy, ensemble).translate(sources)
    if config.data.name in EXACT:
        measures = [exact_match(translations, references)]
    else:
        target = config.tokenizer.target or config.tokenizer.source
        measures = corpus_measures(translations, references, target.lowercase)
    return [f"{measure}  {search}" for measure in measures], translations


def load_split(config, split, data_dir=None):
    """The sources and the targets of a run's data, two lists of bytes.

    Args:
        config: the run's `TrainingConfig`.
        split: "train", "validation" or "test".
        data_dir: folder with the data; the one that was trained on if None.

    Raises:
        ValueError: the run's data has no such split.
    """
    with quiet.start_up():
        from training import tasks
    if data_dir is not None:
        config = replace(config, data=replace(config.data, data_dir=data_dir))
    pairs = tasks.load_pairs(config.data, split)
    if pairs is None:
        raise ValueError(f"The run's data must have a {split} split. Received: none was configured.")
    return [list(side) for side in zip(*pairs.as_numpy_iterator(), strict=True)]


def exact_match(translations, references):
    """Share of translations that equal their reference, as a line of text."""
    right = sum(a == b for a, b in zip(translations, references, strict=True))
    return f"exact match {100 * right / len(references):.2f} % ({right:,} of {len(references):,})"


def corpus_measures(translations, references, lowercase):
    """BLEU and chrF by sacreBLEU, each with its signature, as lines of text."""
    import sacrebleu

    measures = []
    for measure in (sacrebleu.BLEU(lowercase=lowercase), sacrebleu.CHRF(lowercase=lowercase)):
        score = measure.corpus_score(translations, [references])
        measures.append(f"{score.format(width=2)}  {measure.get_signature()}")
    return measures


if __name__ == "__main__":
    command_line.run(main)
