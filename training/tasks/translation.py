"""Training a translator: pairs of texts, a tokenizer for each side, BLEU."""

import functools
import math
from pathlib import Path
from typing import Any

import keras

from keras_transformer import decoding, models
from keras_transformer.callbacks import TranslationQuality
from keras_transformer.translator import Translator
from training import datasets, pipeline, prepared
from training.config import CorpusConfig, DataConfig, TokenizersConfig
from training.pipeline import shards
from training.tasks.base import Task, rounded_up
from training.tasks.tokenizing import train_tokenizer

MODELS = {
    "transformer": models.Transformer,
    "rnn_seq2seq": models.RNNSeq2Seq,
    "conv_seq2seq": models.ConvSeq2Seq,
}


class Translation(Task):
    """See `Task`; the configuration is a `TranslationConfig`."""

    vocabularies = {"source_embedding": "source", "target_embedding": "target"}

    def load_split(self, split) -> None:
        if split == "train" and self.config.data.prepared is not None:
            prepared.check(self.config)
            self.examples[split] = ()  # on disk
        else:
            self.examples[split] = load_pairs(self.config.data, split)

    def train_tokenizers(self) -> None:
        if self.config.data.prepared is not None:
            self.load_tokenizers(Path(self.config.data.prepared))
            return
        sides = make_tokenizers(self.config.tokenizer, self.examples["train"])
        self.tokenizers = dict(zip(("source", "target"), sides, strict=True))

    def load_tokenizers(self, folder) -> None:
        super().load_tokenizers(folder)
        if self.config.tokenizer.target is None:  # they were one when they were trained
            self.tokenizers["target"] = self.tokenizers["source"]

    @property
    def sizes(self) -> dict[str, Any]:
        source, target = self.tokenizers["source"], self.tokenizers["target"]
        return {
            "source_vocabulary_size": source.vocabulary_size,
            "target_vocabulary_size": target.vocabulary_size,
            "is_joint": source is target,
        }

    def largest_shape(self, row_multiple=1) -> tuple[int, ...]:
        length = self.config.data.max_length
        return rounded_up(max(1, self.config.data.batch_tokens // length), row_multiple), length, length

    def batches(self, split, row_multiple=1) -> Any:
        config, data = self.config, self.config.data
        source_tokenizer, target_tokenizer = self.tokenizers["source"], self.tokenizers["target"]
        filters = pipeline.Filters(data.max_length)
        weights = augmentation = None
        if split == "train":
            # What is measured on stays as it is.
            augmentation = pipeline.Augmentation.of(config.augmentation, source_tokenizer, target_tokenizer)
            weights = [corpus.weight for corpus in (data, *data.also)]
            filters = pipeline.Filters(
                data.max_length, data.max_length_ratio, data.remove_duplicates, data.remove_copies
            )
        keep_texts = augmentation is not None and augmentation.reads_texts
        if split == "train" and data.prepared is not None:
            if keep_texts:
                raise ValueError(
                    "An `augmentation` that reads the texts needs pairs that are not prepared. "
                    f"Received: data.prepared={data.prepared}."
                )
            encoded = shards.read(Path(data.prepared))
        else:
            corpora = load_corpora(data) if split == "train" else [self.examples[split]]
            encoded = pipeline.encode(corpora, source_tokenizer, target_tokenizer, filters, keep_texts)
        return pipeline.BucketBatches(
            encoded,
            batch_tokens=data.batch_tokens,
            bucket_boundaries=data.bucket_boundaries or pipeline.default_boundaries(data.max_length),
            shuffle=split == "train",
            seed=config.fit.seed,
            weights=weights,
            augmentation=augmentation,
            row_multiple=row_multiple,
        )

    def make_model(self, sizes) -> keras.Model:
        given = dict(vars(self.config.model))
        if given["share_embeddings"] is None:
            given["share_embeddings"] = sizes["is_joint"]
        if given.get("max_length", 0) is None:
            given["max_length"] = self.config.data.max_length
        kind = MODELS[given.pop("kind")]
        model = kind(sizes["source_vocabulary_size"], sizes["target_vocabulary_size"], **given)
        model.build()
        return model

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        rows, *lengths = shape
        source_ids, target_ids = (
            generator.integers(4, sizes[f"{side}_vocabulary_size"], (rows, length), dtype="int32")
            for side, length in zip(("source", "target"), lengths, strict=True)
        )
        return {"source_ids": source_ids, "target_ids": target_ids}, target_ids

    def quality(self, model) -> Any:
        config = self.config
        if not self.has("validation") or not config.quality.frequency:
            return None
        max_length = config.data.max_length
        pairs = self.examples["validation"].take(config.quality.num_pairs).as_numpy_iterator()
        sources, references = (
            [text.decode("utf-8", "replace") for text in side] for side in zip(*pairs, strict=True)
        )
        search = decoding.Greedy(max_length)
        return TranslationQuality(
            Translator(model, self.tokenizers["source"], self.tokenizers["target"], search, max_length),
            sources,
            references,
            frequency=config.quality.frequency,
            lowercase=(config.tokenizer.target or config.tokenizer.source).lowercase,
            num_shown=config.quality.num_shown,
        )

    def summary(self) -> str:
        sizes = self.sizes
        return (
            f"vocabulary: {sizes['source_vocabulary_size']:,} source, "
            f"{sizes['target_vocabulary_size']:,} target"
        )


def load_pairs(config: DataConfig, split: str) -> Any:
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
        columns=config.columns,
        num_examples=config.num_examples,
    )


def make_tokenizers(config: TokenizersConfig, pairs) -> Any:
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
        joint = train_tokenizer(config.source, sources + targets, "tokenizer.source")
        return joint, joint
    return (
        train_tokenizer(config.source, sources, "tokenizer.source"),
        train_tokenizer(config.target, targets, "tokenizer.target"),
    )
