"""From a configuration to a run folder: data, tokenizers, model, `fit`."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_transformer import decoding
from keras_transformer.callbacks import MetricsFile, Resume, Throughput, TranslationQuality, restore
from keras_transformer.translator import Translator
from training import checkpointing, initial, pipeline, plan, run_folder, tasks
from training.config import TrainingConfig

# In the run folder, while the training lasts: what it goes on from after an interruption.
CHECKPOINTS = "checkpoints/resume"


@dataclass(frozen=True)
class Prepared:
    """What a training needs besides its model."""

    pairs: dict  # split -> tf.data.Dataset of (source, target) strings, or None
    source_tokenizer: object
    target_tokenizer: object
    batches: dict  # split -> pipeline.BucketBatches
    steps_per_epoch: int
    settled: plan.Plan


def train(config: TrainingConfig, output: Path):
    """Trains by a configuration, or goes on with a training that was interrupted.

    Args:
        config: see `TrainingConfig`.
        output: the run folder. It must not exist, or hold an unfinished run of the same configuration,
            which then goes on from its last checkpoint as if nothing had happened.

    Returns:
        The trained model.

    Raises:
        ValueError: the configuration or the data cannot be used, or `output` holds something else. A
            folder that was made here is removed again if nothing has been learnt.
    """
    output = Path(output)
    config = initial.settled(config, output)
    goes_on = run_folder.is_unfinished(output, config)
    keras.utils.set_random_seed(config.fit.seed)
    keras.config.set_dtype_policy(config.fit.precision)
    prepared = prepare(config, output if goes_on else None)
    source_tokenizer, target_tokenizer = prepared.source_tokenizer, prepared.target_tokenizer
    batches, steps_per_epoch = prepared.batches, prepared.steps_per_epoch
    model, epoch = restore(output / CHECKPOINTS) or (None, 0)
    if model is None:
        model = tasks.make_model(config.model, source_tokenizer, target_tokenizer)
        if config.initial.run is not None:
            initial.take_weights(model, config.initial, source_tokenizer, target_tokenizer)
        model.freeze(config.fit.freeze)
        total_steps = steps_per_epoch * config.fit.epochs
        settled = prepared.settled
        tasks.compile_model(
            model, config.optimizer, total_steps, settled.jit_compile, settled.num_micro_batches
        )
    print(
        f"vocabulary: {source_tokenizer.vocabulary_size:,} source, "
        f"{target_tokenizer.vocabulary_size:,} target; {model.count_params():,} parameters"
    )
    if goes_on:
        print(f"going on after {epoch} of {config.fit.epochs} epochs")
    else:
        run_folder.make(output, config, source_tokenizer, target_tokenizer, prepared.settled)
    quality = None
    if prepared.pairs["validation"] is not None and config.quality.frequency:
        quality = make_quality(
            config, model, source_tokenizer, target_tokenizer, prepared.pairs["validation"]
        )
    try:
        model.fit(
            batches["train"].stream(epoch * steps_per_epoch),
            steps_per_epoch=steps_per_epoch,
            initial_epoch=epoch,
            epochs=config.fit.epochs,
            validation_data=batches["validation"].dataset() if "validation" in batches else None,
            callbacks=make_callbacks(output, config, quality),
            shuffle=False,  # it is shuffled already
            verbose=1 if sys.stdout.isatty() else 2,
        )
    except BaseException:
        if not goes_on and not any((output / "checkpoints").iterdir()):
            shutil.rmtree(output)  # nothing was learnt that would be lost
        raise
    model = checkpointing.final_model(model, config.checkpoints, output)
    run_folder.save_model(model, output)
    shutil.rmtree(output / CHECKPOINTS, ignore_errors=True)
    print(f"run folder: {output}")
    return model


def dry_run(config: TrainingConfig) -> str:
    """What a training would do and cost, as a page of text; see `plan.describe`. Trains nothing."""
    prepared = prepare(config)
    sizes = plan.vocabulary(prepared.source_tokenizer, prepared.target_tokenizer)
    return plan.describe(config, sizes, prepared.batches["train"], prepared.settled)


def prepare(config: TrainingConfig, unfinished: Path | None = None) -> Prepared:
    """Data, tokenizers, batches, and what the configuration leaves open.

    Args:
        config: see `TrainingConfig`.
        unfinished: run folder of a training that was interrupted: its tokenizers and its plan are kept.
    """
    pairs = {split: tasks.load_pairs(config.data, split) for split in ("train", "validation")}
    checkpointing.check(config, has_validation=pairs["validation"] is not None)
    if unfinished:
        tokenizers = run_folder.load_tokenizers(unfinished)
        settled = plan.Plan.read(unfinished)
        num_micro_batches = settled.num_micro_batches
    else:
        if initial.keeps_tokenizers(config):
            tokenizers = run_folder.load_tokenizers(Path(config.initial.run))
        else:
            tokenizers = tasks.make_tokenizers(config.tokenizer, pairs["train"])
        sizes = plan.vocabulary(*tokenizers)
        num_micro_batches = plan.find_num_micro_batches(config, sizes)
    batches = {
        split: make_batches(config, split, split_pairs, *tokenizers, num_micro_batches)
        for split, split_pairs in pairs.items()
        if split_pairs is not None
    }
    steps_per_epoch = config.fit.steps_per_epoch or len(batches["train"])
    if not unfinished:
        steps = steps_per_epoch * config.fit.epochs
        jit_compile = plan.choose_jit_compile(config, sizes, batches["train"], steps, num_micro_batches)
        settled = plan.Plan(num_micro_batches, jit_compile)
    return Prepared(pairs, *tokenizers, batches, steps_per_epoch, settled)


def make_batches(config: TrainingConfig, split, pairs, source_tokenizer, target_tokenizer, row_multiple=1):
    """The batches of a split, `pipeline.BucketBatches`; says how many there are."""
    data, corpora, filters = config.data, [pairs], pipeline.Filters(config.data.max_length)
    weights = augmentation = None
    if split == "train":
        # What is measured on stays as it is.
        augmentation = pipeline.Augmentation.of(config.augmentation, source_tokenizer, target_tokenizer)
        weights = [corpus.weight for corpus in (data, *data.also)]
        corpora = tasks.load_corpora(data) if data.also else corpora
        filters = pipeline.Filters(
            data.max_length, data.max_length_ratio, data.remove_duplicates, data.remove_copies
        )
    keep_texts = augmentation is not None and augmentation.reads_texts
    encoded = pipeline.encode(corpora, source_tokenizer, target_tokenizer, filters, keep_texts)
    batches = pipeline.BucketBatches(
        encoded,
        batch_tokens=data.batch_tokens,
        bucket_boundaries=data.bucket_boundaries or pipeline.default_boundaries(data.max_length),
        shuffle=split == "train",
        seed=config.fit.seed,
        weights=weights,
        augmentation=augmentation,
        row_multiple=row_multiple,
    )
    print(f"{split}: {batches.summary()}")
    return batches


def make_quality(config: TrainingConfig, model, source_tokenizer, target_tokenizer, pairs):
    """The callback that translates the first validation pairs, greedily."""
    max_length = config.data.max_length
    search = decoding.Greedy(max_length)
    sides = zip(*pairs.take(config.quality.num_pairs).as_numpy_iterator(), strict=True)
    sources, references = ([text.decode("utf-8", "replace") for text in side] for side in sides)
    return TranslationQuality(
        Translator(model, source_tokenizer, target_tokenizer, search, max_length),
        sources,
        references,
        frequency=config.quality.frequency,
        lowercase=(config.tokenizer.target or config.tokenizer.source).lowercase,
        num_shown=config.quality.num_shown,
    )


def make_callbacks(output: Path, config: TrainingConfig, quality=None):
    """Quality, metrics file, TensorBoard, what `train` goes on from, and what is done with checkpoints.

    The order counts: validation, translation and the checkpoint are of the averaged weights, if there are
    any; what comes after the translation finds BLEU in its logs.
    """
    averages = None
    if config.optimizer.ema_momentum is not None:
        averages = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    callbacks = [
        Throughput(),
        averages,
        quality,
        Resume(output / CHECKPOINTS),
        MetricsFile(output / "metrics.jsonl"),
        keras.callbacks.TensorBoard(output / "logs", write_graph=False),
        *checkpointing.make_callbacks(config.checkpoints, output, averages),
    ]
    return [callback for callback in callbacks if callback is not None]
