"""Translators: pairs of texts, a tokenizer for each side, BLEU."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from training.run_config import RunConfig
from training.tasks.base import Task, likely_vocabulary, rounded_up
from training.tasks.translation import corpora, translating
from training.tasks.translation.config import (
    ConvSeq2SeqConfig,
    RNNSeq2SeqConfig,
    TransformerConfig,
    TranslationConfig,
)


class Translation(Task):
    """See `Task`."""

    config_class = TranslationConfig
    models = {
        "transformer": TransformerConfig,
        "rnn_seq2seq": RNNSeq2SeqConfig,
        "conv_seq2seq": ConvSeq2SeqConfig,
    }
    command = "training.translate"
    about = translating.__doc__
    vocabularies = {"source_embedding": "source", "target_embedding": "target"}
    decodes = True
    files_option = "--files FILE ..., or --source FILE --target FILE"

    def load_split(self, split) -> None:
        if split == "train" and self.config.data.prepared is not None:
            from training import prepared

            prepared.check(self.config)
            self.examples[split] = ()  # on disk
        else:
            self.examples[split] = corpora.load_pairs(self.config.data, split)

    def train_tokenizers(self) -> None:
        if self.config.data.prepared is not None:
            self.load_tokenizers(Path(self.config.data.prepared))
            return
        data = self.config.data
        tags = [corpus.tag for corpus in (data, *data.also) if corpus.tag]
        sides = corpora.make_tokenizers(self.config.tokenizer, self.examples["train"], tags)
        self.tokenizers = dict(zip(("source", "target"), sides, strict=True))

    def load_tokenizers(self, folder) -> None:
        super().load_tokenizers(folder)
        if self.config.tokenizer.target is None:  # they were one when they were trained
            self.tokenizers["target"] = self.tokenizers["source"]

    @classmethod
    def other_files(cls, config, files, facts) -> RunConfig:
        config = super().other_files(config, files, facts)
        data = replace(config.data, name="parallel_text", source_language="", target_language="")
        return replace(config, data=data)

    @property
    def facts(self) -> dict:
        return {"max_length": self.config.data.max_length}

    @property
    def sizes(self) -> dict[str, Any]:
        source, target = self.tokenizers["source"], self.tokenizers["target"]
        return {
            "source_vocabulary_size": source.vocabulary_size,
            "target_vocabulary_size": target.vocabulary_size,
            "is_joint": source is target,
        }

    def likely_sizes(self) -> dict:
        config = self.config.tokenizer
        return {
            "source_vocabulary_size": likely_vocabulary(config.source),
            "target_vocabulary_size": likely_vocabulary(config.target or config.source),
            "is_joint": config.target is None,
        }

    def largest_shape(self, row_multiple=1) -> tuple[int, ...]:
        length = self.config.data.max_length
        return rounded_up(max(1, self.config.data.batch_tokens // length), row_multiple), length, length

    def batches(self, split, row_multiple=1) -> Any:
        from training import pipeline
        from training.pipeline import shards

        config, data = self.config, self.config.data
        source_tokenizer, target_tokenizer = self.tokenizers["source"], self.tokenizers["target"]
        filters = pipeline.Filters(data.max_length)
        weights = augmentation = None
        if split == "train":
            corpora.check_tags(data, source_tokenizer)
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
            pairs = corpora.load(data) if split == "train" else [self.examples[split]]
            encoded = pipeline.encode(pairs, source_tokenizer, target_tokenizer, filters, keep_texts)
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

    def make_model(self, sizes) -> Any:
        from keras_transformer import models

        given = self.model_options()
        if given["share_embeddings"] is None:
            given["share_embeddings"] = sizes["is_joint"]
        learned = isinstance(self.config.model, TransformerConfig) and self.config.model.learns_positions
        if learned or given.get("max_length", 0) is None:
            given["max_length"] = self.config.data.max_length
        kinds = {
            "transformer": models.Transformer,
            "rnn_seq2seq": models.RNNSeq2Seq,
            "conv_seq2seq": models.ConvSeq2Seq,
        }
        model = kinds[self.config.model.kind](
            sizes["source_vocabulary_size"], sizes["target_vocabulary_size"], **given
        )
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
        from keras_transformer import decoding
        from keras_transformer.callbacks import TranslationQuality
        from keras_transformer.pipelines.translator import Translator

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

    @classmethod
    def add_options(cls, parser) -> None:
        translating.add_options(parser)

    @classmethod
    def predict(cls, options, config) -> None:
        translating.predict(options, config)
