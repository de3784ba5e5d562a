"""From a configuration to a run folder: data, tokenizers, model, `fit`."""

import shutil
import sys
from pathlib import Path

import keras

from keras_transformer.callbacks import MetricsFile, Position, Resume
from training import pipeline, run_folder, tasks
from training.config import TrainingConfig


def train(config: TrainingConfig, output: Path):
    """Trains by a configuration.

    Args:
        config: see `TrainingConfig`.
        output: the run folder; must not exist, and does not if anything is wrong with the input.

    Returns:
        The trained model.

    Raises:
        ValueError: the configuration or the data cannot be used, or `output` exists.
    """
    output = Path(output)
    if output.exists():
        raise ValueError(f"The run folder must not exist yet. Received: {output}, which does.")
    keras.utils.set_random_seed(config.fit.seed)
    keras.config.set_dtype_policy(config.fit.precision)

    pairs = {split: tasks.load_pairs(config.data, split) for split in ("train", "validation")}
    source_tokenizer, target_tokenizer = tasks.make_tokenizers(config.tokenizer, pairs["train"])
    encoded = {
        split: pipeline.encode(
            split_pairs, source_tokenizer, target_tokenizer, max_length=config.data.max_length
        )
        for split, split_pairs in pairs.items()
        if split_pairs is not None
    }
    batches = {
        split: pipeline.BucketBatches(
            split_pairs,
            batch_tokens=config.data.batch_tokens,
            bucket_boundaries=config.data.bucket_boundaries
            or pipeline.default_boundaries(config.data.max_length),
            shuffle=split == "train",
            seed=config.fit.seed,
        )
        for split, split_pairs in encoded.items()
    }
    model = tasks.make_model(config.model, source_tokenizer, target_tokenizer)
    total_steps = len(batches["train"]) * config.fit.epochs
    tasks.compile_model(model, config.optimizer, total_steps, config.fit.jit_compile)
    for split, split_pairs in encoded.items():
        dropped = f", {split_pairs.num_dropped} too long" if split_pairs.num_dropped else ""
        print(f"{split}: {len(split_pairs):,} pairs{dropped}, {len(batches[split]):,} batches")
    print(
        f"vocabulary: {source_tokenizer.vocabulary_size:,} source, "
        f"{target_tokenizer.vocabulary_size:,} target; {model.count_params():,} parameters"
    )

    position = Position()
    run_folder.make(output, config, source_tokenizer, target_tokenizer)
    try:
        model.fit(
            batches["train"].dataset(position),
            epochs=config.fit.epochs,
            validation_data=batches["validation"].dataset() if "validation" in batches else None,
            callbacks=make_callbacks(output, config, position),
            shuffle=False,  # tf.data has shuffled already
            verbose=1 if sys.stdout.isatty() else 2,
        )
    except BaseException:
        if not any((output / "checkpoints").iterdir()):
            shutil.rmtree(output)  # nothing was learnt that would be lost
        raise
    run_folder.save_model(model, output)
    print(f"run folder: {output}")
    return model


def make_callbacks(output: Path, config: TrainingConfig, position: Position):
    """Metrics file, TensorBoard, and a checkpoint after each epoch."""
    callbacks = [
        Resume(output / "checkpoints" / "resume", position),
        MetricsFile(output / "metrics.jsonl"),
        keras.callbacks.TensorBoard(output / "logs", write_graph=False),
        keras.callbacks.ModelCheckpoint(output / "checkpoints" / "last.keras"),
    ]
    if config.optimizer.ema_momentum is not None:
        # First at the end of an epoch, so that validation and checkpoints see the averaged weights.
        callbacks.insert(0, keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    return callbacks
