"""What a masked language model knows beyond counts: python -m benchmarks.masked_words --run RUN

The run is one of training/configs/shakespeare_masked.yaml. On its validation text, with 15 % of the tokens
hidden as in the evaluation of the training: how many of them are found by the model, and by counts of the
training text:

    unigram             always the most frequent token
    trigram             the most frequent one after the two tokens before it
    trigram, both sides the most frequent one between its two neighbours

Counts see what the model sees: where a neighbour is hidden, too, or the three tokens were never read
together, the token before decides, then (of both sides) the token after, then the unigram.
"""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import command_line
from benchmarks.train_step import machine
from command_line import quiet
from training import run_folder

PAD_ID, END_ID = 0, 3  # as in keras_transformer.special_ids, which would bring Keras in unquietly

# Places of a context, relative to the token; the first that was read before decides.
BASELINES = {
    "unigram": [()],
    "trigram": [(-2, -1), (-1,), ()],
    "trigram, both sides": [(-1, 1), (-1,), (1,), ()],
}


def main(arguments=None):
    """Measures and prints a table."""
    parser = command_line.parser("benchmarks.masked_words", __doc__)
    parser.add_argument("--run", type=str, required=True, help="run folder of a masked_lm")
    parser.add_argument("--data_dir", type=str, help="folder with the data; as in the training if absent")
    options = parser.parse_args(arguments)
    print(f"python -m benchmarks.masked_words --run {options.run}; {machine(2)}\n", flush=True)
    found, total = measure(options.run, options.data_dir)
    print(f"| {total:,} hidden tokens found by | |\n|---|---|")
    for name, right in found.items():
        print(f"| {name} | {right / total:.1%} |")


def measure(run, data_dir=None):
    """How many hidden tokens the model and each of BASELINES find.

    Returns:
        ({name: number}, number of hidden tokens).
    """
    config = run_folder.load_config(run)
    if config.model.kind != "masked_lm":
        raise ValueError(f"The run must be one of a masked_lm. Received: {run}, a {config.model.kind}.")
    with quiet.start_up():
        import numpy as np

        from keras_transformer.saving.model_files import load_model
        from training import tasks
    if data_dir is not None:
        config = replace(config, data=replace(config.data, data_dir=data_dir))
    task = tasks.make(config)
    task.load()
    task.load_tokenizers(Path(run))
    model = load_model(Path(run, "model.keras"))
    tables = {name: counts(task.batches("train").ids, contexts) for name, contexts in BASELINES.items()}
    right = dict.fromkeys(["masked language model", *BASELINES], 0)
    total = 0
    for inputs, labels in task.batches("validation").dataset().as_numpy_iterator():
        ids, hidden = inputs["token_ids"], labels != PAD_ID
        total += int(hidden.sum())
        guesses = model(inputs).numpy().argmax(-1)
        right["masked language model"] += int((guesses == labels)[hidden].sum())
        for row, place in np.argwhere(hidden):
            for name, contexts in BASELINES.items():
                guess = likeliest(tables[name], contexts, ids[row], place)
                right[name] += int(guess == labels[row, place])
    return right, total


def counts(ids, contexts):
    """{context: {tokens in its places: the most frequent token}} of a running text, (N,) ids."""
    ids = ids.tolist()
    # Special ids are never hidden, hence never the answer.
    answers = [place for place in range(2, len(ids) - 1) if ids[place] > END_ID]
    found = {}
    for context in contexts:
        table = defaultdict(Counter)
        for place in answers:
            table[tuple(ids[place + offset] for offset in context)][ids[place]] += 1
        found[context] = {seen: tokens.most_common(1)[0][0] for seen, tokens in table.items()}
    return found


def likeliest(tables, contexts, ids, place):
    """The token that the first context which was read before says; a hidden neighbour was never read."""
    for context in contexts:
        places = [place + offset for offset in context]
        if places and (min(places) < 0 or max(places) >= len(ids)):
            continue
        guess = tables[context].get(tuple(int(ids[at]) for at in places))
        if guess is not None:
            return guess
    raise AssertionError("the unigram is always there")


if __name__ == "__main__":
    command_line.run(main)
