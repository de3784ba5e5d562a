"""Classes of texts: by a Transformer's encoder, or by a recurrent network that weighs the words."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from command_line import lines, quiet
from training import picture_files
from training.run_config import (
    RunConfig,
    TokenizerConfig,
    make_lists,
)
from training.tasks.classes import ClassRunConfig, ClassTask, TextClassesTask, numbers
from training.tasks.transformer_layers import TextEncoderConfig, text_encoder


@dataclass(frozen=True)
class LabelledTextConfig:
    """Texts with a label each, and how they become batches.

    Args:
        name: labelled_text, for files and folders; tfds:NAME, for any set of tensorflow-datasets with a text
            and a class.
        data_dir: for tfds: where it keeps its data; None for its default.
        train: for labelled_text: TSV files, each line a text, a tab, its label; and folders that hold a
            folder for each label, with a text in each file. For tfds: splits, train[10%:]; none for the one
            of this name.
        validation: like train; none to train without validation.
        test: like train.
        columns: of a TSV file: text and label, and any other name for a column that is left out.
        max_length: tokens that the model sees of a text, the start token included; the rest is cut off.
        batch_size: texts in a batch.
    """

    name: str = "labelled_text"
    data_dir: str | None = None
    train: list[str] | str = field(default_factory=list)
    validation: list[str] | str = field(default_factory=list)
    test: list[str] | str = field(default_factory=list)
    columns: list[str] = field(default_factory=lambda: ["text", "label"])
    max_length: int = 128
    batch_size: int = 32

    def __post_init__(self):
        make_lists(self, "train", "validation", "test")


@dataclass(frozen=True)
class TextClassifierConfig(TextEncoderConfig):
    """The sizes of the encoder and of the classifier on it.

    Args:
        kind: this model.
        dropout: probability of dropping a value of a sub-layer's output, of an embedding, or before the last
            layer.
    """

    kind: Literal["text_classifier"] = "text_classifier"
    dropout: float = 0.1


@dataclass(frozen=True)
class RNNClassifierConfig:
    """The recurrent classifier's sizes; those of Yang et al. 2016 by default.

    Args:
        kind: this model.
        embedding_dim: width of the embedding.
        hidden_dim: width of both directions together, even.
        num_layers: recurrent layers.
        cell: of the recurrent layers.
        dropout: probability of dropping a value of an embedding, between two layers, or before the last
            layer.
    """

    kind: Literal["rnn_classifier"] = "rnn_classifier"
    embedding_dim: int = 200
    hidden_dim: int = 100
    num_layers: int = 1
    cell: Literal["gru", "lstm"] = "gru"
    dropout: float = 0.0


@dataclass(frozen=True)
class TextClassificationConfig(ClassRunConfig):
    """A run that makes a classifier of texts.

    Args:
        data: the texts with their labels, and how they become batches.
        tokenizer: how a text becomes ids.
        model: its sizes.
    """

    data: LabelledTextConfig = field(default_factory=LabelledTextConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: TextClassifierConfig | RNNClassifierConfig = field(default_factory=TextClassifierConfig)


class TextClassification(TextClassesTask, ClassTask):
    """See `Task`."""

    config_class = TextClassificationConfig
    models = {"text_classifier": TextClassifierConfig, "rnn_classifier": RNNClassifierConfig}
    command = "training.classify"
    about = """Names the classes of texts: python -m training.classify --run RUN [TEXT ...]

    A line for each text: its class, a tab, its probability. Without texts, lines come from standard input.
    """

    def load_split(self, split) -> None:
        from training.datasets import labelled_texts

        data = self.config.data
        self.examples[split] = labelled_texts.load(
            data.name, split, data_dir=data.data_dir, places=getattr(data, split), columns=data.columns
        )

    @classmethod
    def other_files(cls, config, files, facts) -> RunConfig:
        config = super().other_files(config, files, facts)
        return replace(config, data=replace(config.data, name="labelled_text"))

    def train_tokenizers(self) -> None:
        from training.tasks.tokenizing import train_tokenizer

        texts, _ = self.examples["train"]
        # Line by line: sub-words do not span the lines of a text.
        found = [line for text in texts for line in text.splitlines(keepends=True)]
        self.tokenizers = {"text": train_tokenizer(self.config.tokenizer, found)}

    def batches(self, split, row_multiple=1) -> Any:
        from keras_transformer.pipelines.text_classifier import token_ids
        from training import pipeline

        data = self.config.data
        texts, names = self.examples[split]
        rows = pipeline.rows(texts, lambda block: token_ids(block, self.tokenizers["text"], data.max_length))
        return pipeline.TextBatches(
            rows,
            numbers(names, self.classes),
            batch_size=data.batch_size,
            boundaries=pipeline.default_boundaries(data.max_length),
            shuffle=split == "train",
            seed=self.config.fit.seed,
            row_multiple=row_multiple,
        )

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        ids = generator.integers(4, sizes["vocabulary_size"], shape, dtype="int32")
        return {"token_ids": ids}, generator.integers(sizes["num_classes"], size=shape[0]).astype("int32")

    def make_model(self, sizes) -> Any:
        from keras_transformer import models

        options = self.model_options()
        if self.config.model.kind == "rnn_classifier":
            model = models.RNNClassifier(sizes["vocabulary_size"], sizes["num_classes"], **options)
            model.build()
            return model
        encoder = text_encoder(sizes["vocabulary_size"], self.config.data.max_length, **options)
        model = models.SequenceClassifier(encoder, sizes["num_classes"], dropout=options["dropout"])
        model.build()
        return model

    def measure(self, model, split, search=None) -> list:
        import numpy as np

        from training import class_measures

        measured = super().measure(model, split)
        pairs = [
            (labels, model.predict_on_batch(inputs).argmax(axis=1))
            for inputs, labels in self.batches(split).batches_of_pass(0)
        ]
        right, found = map(np.concatenate, zip(*pairs, strict=True))
        return [*measured, *class_measures.measure(right, found, self.classes, f"split:{split}")]

    @classmethod
    def add_options(cls, parser) -> None:
        parser.add_argument("texts", type=str, nargs="*", default=[], metavar="TEXT", help="to be classified")
        parser.add_argument(
            "--picture",
            type=Path,
            help="file to draw what an rnn_classifier looked at in the first text: *.png, *.svg, *.pdf",
        )

    @classmethod
    def predict(cls, options, config) -> None:
        if options.picture:
            if config.model.kind != "rnn_classifier":
                raise ValueError(
                    "`picture` is for an rnn_classifier, which weighs words. "
                    f"Received: {options.run}, of the kind {config.model.kind}."
                )
            picture_files.check(options.picture)
        with quiet.start_up():
            from keras_transformer.pipelines.text_classifier import TextClassifier
        with lines.reader(options.texts) as texts, lines.writer(None) as write:
            classifier = TextClassifier.from_run(options.run, options.checkpoint)
            for number, chunk in enumerate(lines.chunks(texts)):
                found = classifier.classify(chunk)
                if options.picture and not number:
                    from keras_transformer.attention_maps import attention_map

                    ((pieces, weights),) = classifier.look(chunk[:1])
                    picture_files.write(attention_map(weights[None], pieces, [found[0][0]]), options.picture)
                write(f"{lines.one_line(name)}\t{probability:.4f}" for name, probability in found)


TASK = TextClassification
