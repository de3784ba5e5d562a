"""Measures a run on a data set: python -m training.evaluate --run RUN --data test"""

from dataclasses import replace
from pathlib import Path

import command_line
from command_line import quiet
from training import run_folder

# Data sets with one right answer; the others are measured by BLEU and chrF.
EXACT = ("dates",)


def main(arguments=None):
    """Reads the command line, translates and prints the measures."""
    parser = command_line.parser("training.evaluate", __doc__)
    parser.add_argument("--run", type=str, required=True, help="run folder that training.train made")
    parser.add_argument(
        "--data", type=str, default="test", help="split to measure: train, validation or test"
    )
    parser.add_argument("--data_dir", type=str, help="folder with the data; as in training if absent")
    parser.add_argument("--output", type=str, help="file to write the translations to, one a line")
    options = parser.parse_args(arguments)
    lines, translations = evaluate(options.run, options.data, options.data_dir)
    if options.output:
        text = "".join(f"{translation}\n" for translation in translations)
        Path(options.output).write_text(text, encoding="utf-8")
    print("\n".join(lines))


def evaluate(run, split="test", data_dir=None):
    """Translates a split with the run's model and measures the result.

    Args:
        run: a run folder.
        split: "train", "validation" or "test".
        data_dir: folder with the data; the one that was trained on if None.

    Returns:
        The measures, one line each, and the translations.
    """
    config = run_folder.load_config(run)
    with quiet.start_up():
        from keras_transformer.translator import Translator
        from training import tasks
    if data_dir is not None:
        config = replace(config, data=replace(config.data, data_dir=data_dir))
    pairs = tasks.load_pairs(config.data, split)
    if pairs is None:
        raise ValueError(f"The run's data must have a {split} split. Received: none was configured.")
    sources, references = (list(side) for side in zip(*pairs.as_numpy_iterator(), strict=True))
    references = [reference.decode("utf-8") for reference in references]
    translations = Translator.from_run(run).translate(sources)
    if config.data.name in EXACT:
        return [exact_match(translations, references)], translations
    target = config.tokenizer.target or config.tokenizer.source
    return corpus_measures(translations, references, target.lowercase), translations


def exact_match(translations, references):
    """Share of translations that equal their reference, as a line of text."""
    right = sum(a == b for a, b in zip(translations, references, strict=True))
    return f"exact match {100 * right / len(references):.2f} % ({right:,} of {len(references):,})"


def corpus_measures(translations, references, lowercase):
    """BLEU and chrF by sacreBLEU, each with its signature, as lines of text."""
    import sacrebleu

    lines = []
    for measure in (sacrebleu.BLEU(lowercase=lowercase), sacrebleu.CHRF(lowercase=lowercase)):
        score = measure.corpus_score(translations, [references])
        lines.append(f"{score.format(width=2)}  {measure.get_signature()}")
    return lines


if __name__ == "__main__":
    command_line.run(main)
