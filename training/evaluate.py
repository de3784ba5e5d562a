"""Measures a run on a data set: python -m training.evaluate --run RUN --data test [--beam 4 ...]

Prints BLEU, chrF++, chrF, TER and exact match by sacreBLEU, and the model's perplexity, each with its
signature; of dates exact match, chrF and perplexity. --against OTHER compares with another run, or with a
file of translations of the same sources: paired bootstrap resampling (Koehn 2004) with 1,000 samples and
sacreBLEU's seed, 12345 unless SACREBLEU_SEED is set. --report writes all that and more as one page. Other
kinds of runs tell their loss and metrics, and what their task counts. See docs/evaluation.md.
"""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import command_line
from command_line import lines, quiet
from command_line.search_options import SearchOptions
from training import comparison, curves, measured_data, report, run_folder, score
from training.measuring import measure
from training.tasks.translation import Translation, TranslationConfig, corpora

# Data sets with one right answer. BLEU counts sequences of four words, and a date has one.
EXACT = ("dates",)
MEASURES = {True: ("exact_match", "chrf"), False: ("bleu", "chrf++", "chrf", "ter", "exact_match")}
COMPARED = {True: ("exact_match", "chrf"), False: ("bleu", "chrf++", "ter")}
PERPLEXITY = "perplexity"


@dataclass(frozen=True)
class Evaluation:
    """What is known of a run after it translated a split of N pairs.

    Attributes:
        system: the run, with its checkpoint and the others of its ensemble.
        config: the run's.
        split: "train", "validation" or "test"; the names of the files that were measured instead.
        search: what was decoded with, in words.
        lowercase: whether case is ignored by the measures.
        sources, references, translations: N texts each.
        source_lengths: N numbers of tokens, without the end.
        names: of the measures, as in `quality.MEASURES`, the most telling first.
        measures: list of `quality.Measured`: these, and the perplexity.
        compared: list of `quality.Compared`, by measure; empty if there is no other system.
    """

    system: str
    config: TranslationConfig
    split: str
    search: str
    lowercase: bool
    sources: list
    references: list
    translations: list
    source_lengths: list
    names: tuple
    measures: list
    compared: list

    def lines(self) -> list[str]:
        """The measures, a line each with the search that it is of, and the comparison."""
        # Perplexity is of the references: there is no search in it.
        found = [f"{x}" if x.name == PERPLEXITY else f"{x}  {self.search}" for x in self.measures]
        return found + comparison.as_lines(self.compared)


def main(arguments=None) -> None:
    """Reads the command line, translates and prints the measures."""
    parser = command_line.parser("training.evaluate", __doc__)
    command_line.add_run(parser)
    command_line.add_checkpoint(parser)
    measured_data.add_data(parser, default="test")
    parser.add_argument("--output", type=str, help="file to write the translations to, one a line")
    parser.add_argument(
        "--against",
        type=str,
        action="append",
        default=[],
        metavar="OTHER",
        help="another run folder, which translates with the same search, or a file with one translation a "
        "line, to compare with; may be given several times",
    )
    parser.add_argument(
        "--report", type=str, metavar="PLACE", help="writes a page: a file *.html, or report.html in a folder"
    )
    # Only the best translation is measured.
    parser.add_class_arguments(SearchOptions, as_group=False, skip={"n_best"})
    options = parser.parse_args(arguments)
    split, data_dir, files = measured_data.read(options)
    split = split or "test"
    search = SearchOptions.read(options)
    config = run_folder.load_config(options.run)
    page = report.place(options.report) if options.report else None
    if not isinstance(config, TranslationConfig):
        for name in ("output", "against", "ensemble", "source"):
            if options[name]:
                raise ValueError(
                    f"`{name}` is for translators. Received: {options[name]}, for {options.run}."
                )
        measures = measure(options.run, split, data_dir, search, options.checkpoint, files)
        print("\n".join(map(str, measures)))
        if page:
            checkpoint = f" ({options.checkpoint})" if options.checkpoint else ""
            title = f"{options.run}{checkpoint}, {' and '.join(files) or split}"
            records = curves.read(Path(options.run), options.run).records
            report.write(page, report.page_of_measures(title, measures, config, records))
            print(f"report: {page}")
        return
    with lines.writer(options.output or os.devnull, inputs=[*options.against, *files]) as write:
        evaluation = evaluate(
            options.run,
            split,
            data_dir,
            search,
            options.ensemble,
            options.checkpoint,
            options.against,
            files,
        )
        write(map(lines.one_line, evaluation.translations))
    print("\n".join(evaluation.lines()))
    if page:
        records = curves.read(Path(options.run), options.run).records
        report.write(page, report.page(evaluation, records))
        print(f"report: {page}")


def evaluate(
    run, split="test", data_dir=None, search=None, ensemble=(), checkpoint=None, against=(), files=()
) -> Evaluation:
    """Translates a split with the run's model and measures the result.

    Args:
        run: a run folder.
        split: "train", "validation" or "test".
        data_dir: folder with the data; the one that was trained on if None.
        search: `SearchOptions`; beam search with its defaults if None.
        ensemble: further run folders, see `Translator.from_run`.
        checkpoint: in place of the run's model.keras, see `Translator.from_run`.
        against: run folders, and files with one translation a line, to compare with.
        files: what is translated in place of a split: one TSV file, or a file of sources and one of targets.

    Returns:
        `Evaluation`.

    Raises:
        ValueError: the run, the data or an option cannot be used, or a file of `against` has not one line
            for each source.
    """
    config = run_folder.load_config(run, Translation)
    with quiet.start_up():
        import tensorflow as tf

        from keras_transformer import quality
        from keras_transformer.pipelines.translator import Translator
    search = search or SearchOptions()
    strategy = search.search(config.data.max_length)
    sources, references = corpora.load_split(config, split, data_dir, files)
    references = [reference.decode("utf-8") for reference in references]
    system = " + ".join([f"{run} ({checkpoint})" if checkpoint else str(run), *map(str, ensemble)])
    others = comparison.read_others([system, *against], len(references), search.search)
    translator = Translator.from_run(run, strategy, ensemble, checkpoint)
    translations = translator.translate(sources)
    exact = config.data.name in EXACT
    target = config.tokenizer.target or config.tokenizer.source
    measures = quality.measure(translations, references, MEASURES[exact], target.lowercase)
    compared = []
    if others:
        systems = {system: translations, **comparison.translate(others, sources)}
        compared = quality.paired_bootstrap(systems, references, COMPARED[exact], target.lowercase)
    return Evaluation(
        system=system,
        config=config,
        split=" and ".join(files) or split,
        search=str(search),
        lowercase=target.lowercase,
        sources=[source.decode("utf-8", "replace") for source in sources],
        references=references,
        translations=translations,
        source_lengths=translator.source_tokenizer.tokenize(tf.constant(sources))
        .row_lengths()
        .numpy()
        .tolist(),
        names=MEASURES[exact],
        measures=[*measures.values(), perplexity(translator, target, sources, references)],
        compared=compared,
    )


def perplexity(translator, config, sources, references) -> Any:
    """The model's perplexity of the references, exp(-mean log P) of their tokens, with its own signature.

    It is of the run's tokens, ends included, without label smoothing: runs with other tokenizers have other
    tokens, and their perplexities cannot be compared.

    Args:
        translator: see `keras_transformer.pipelines.translator`.
        config: the target's `TokenizerConfig`.
        sources, references: texts.
    """
    from keras_transformer import quality

    scores = score.score_pairs(score.scoring_graph(translator), sources, references)
    num_tokens = sum(len(found.pieces) for found in scores)
    value = score.perplexity(math.fsum(found.total for found in scores), num_tokens)
    size = translator.target_tokenizer.vocabulary_size
    case = "lc" if config.lowercase else "mixed"
    return quality.Measured(
        PERPLEXITY,
        value,
        f"({num_tokens:,} tokens)",
        f"nrefs:1|case:{case}|tok:{config.kind}|vocabulary:{size}|end:yes|log:e|smooth:none",
    )


if __name__ == "__main__":
    command_line.run(main)
