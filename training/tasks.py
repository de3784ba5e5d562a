"""What a configuration's words stand for: tokenizers, models, schedules."""

import functools
import math

import keras

from keras_transformer import losses, metrics, models, schedules, tokenizers
from training import datasets
from training.config import (
    CorpusConfig,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    TokenizerConfig,
    TokenizersConfig,
)


def load_pairs(config: DataConfig, split: str):
    """The pairs of a split, tf.data.Dataset of (source, target) strings; None if it was not configured.

    The training split has the pairs of all corpora, each once, one corpus after the other; the others have
    those of the main one.
    """
    if split == "train":
        return functools.reduce(lambda pairs, more: pairs.concatenate(more), load_corpora(config))
    files = {"validation": config.validation, "test": config.test}.get(split, ())
    if config.name == "parallel_text" and not files:
        return None
    return _load(config, split, files)


def load_corpora(config: DataConfig) -> list:
    """The training pairs of the main corpus and of each further one, as `load_pairs`.

    Raises:
        ValueError: a weight is not above 0, or see `datasets.load`.
    """
    corpora = [config, *config.also]
    for corpus in corpora:
        if not 0 < corpus.weight < math.inf:
            raise ValueError(f"`weight` must be above 0. Received: weight={corpus.weight} of {corpus.name}.")
    return [_load(corpus, "train", corpus.train) for corpus in corpora]


def _load(config: CorpusConfig, split: str, files):
    return datasets.load(
        config.name,
        split,
        source=config.source_language,
        target=config.target_language,
        data_dir=config.data_dir,
        files=files,
        num_examples=config.num_examples,
    )


def make_tokenizers(config: TokenizersConfig, pairs):
    """Trains the tokenizers on the training pairs.

    Args:
        config: see `TokenizersConfig`.
        pairs: tf.data.Dataset of (source, target) strings.

    Returns:
        Source and target tokenizer; the same object if the vocabulary is joint.
    """
    batches = list(pairs.batch(1024).as_numpy_iterator())
    sources = [text.decode("utf-8") for source, _ in batches for text in source]
    targets = [text.decode("utf-8") for _, target in batches for text in target]
    if config.target is None:
        joint = _train_tokenizer(config.source, sources + targets)
        return joint, joint
    return _train_tokenizer(config.source, sources), _train_tokenizer(config.target, targets)


def _train_tokenizer(config: TokenizerConfig, sentences):
    if config.kind in ("bytes", "code_points"):
        return tokenizers.CharacterTokenizer.train(sentences, unit=config.kind)
    return tokenizers.SentencePieceTokenizer.train(
        sentences, config.vocabulary_size, model_type=config.kind, lowercase=config.lowercase
    )


def make_model(config: ModelConfig, source_tokenizer, target_tokenizer):
    """Builds the model for the tokenizers' vocabularies. Errors about sizes are the model's own."""
    is_joint = source_tokenizer is target_tokenizer
    shares = is_joint if config.share_embeddings is None else config.share_embeddings
    model = models.Transformer(
        source_tokenizer.vocabulary_size,
        target_tokenizer.vocabulary_size,
        **vars(config) | {"share_embeddings": shares},
    )
    model.build()
    return model


def compile_model(
    model, config: OptimizerConfig, total_steps: int, jit_compile: bool, num_micro_batches: int = 1
) -> None:
    """Gives the model its optimizer, loss and metrics.

    Args:
        model: a built model.
        config: see `OptimizerConfig`.
        total_steps: optimizer steps of the whole training, for the cosine.
        jit_compile: whether XLA compiles the training step.
        num_micro_batches: parts that a batch is split into.
    """
    optimizer = keras.optimizers.Adam(
        make_schedule(config, model.hidden_dim, total_steps),
        beta_1=config.beta_1,
        beta_2=config.beta_2,
        epsilon=config.epsilon,
        global_clipnorm=config.clip_norm,
        use_ema=config.ema_momentum is not None,
        ema_momentum=config.ema_momentum or 0.99,
    )
    model.compile(
        optimizer=optimizer,
        loss=losses.SmoothedCrossEntropy(label_smoothing=config.label_smoothing),
        metrics=[metrics.Perplexity(), metrics.TokenAccuracy()],
        jit_compile=jit_compile,
        num_micro_batches=num_micro_batches,
    )
    # Built here, outside the first step's graph: tracing takes half the time.
    model.optimizer.build(model.trainable_variables)


def make_schedule(config: OptimizerConfig, hidden_dim: int, total_steps: int):
    """The learning-rate schedule that the configuration names."""
    if config.schedule == "transformer":
        return schedules.TransformerSchedule(hidden_dim, config.warmup_steps, config.scale)
    if config.schedule == "inverse_square_root":
        return schedules.InverseSquareRootSchedule(config.peak, config.warmup_steps)
    return schedules.CosineSchedule(config.peak, config.warmup_steps, total_steps)
