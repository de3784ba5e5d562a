"""Tags of words: entities, parts of speech, ..., by a Transformer's encoder."""

from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Literal

from command_line import lines, quiet
from training.run_config import (
    RunConfig,
    TokenizerConfig,
    make_lists,
)
from training.tasks.classes import ClassRunConfig, TextClassesTask, classes_of
from training.tasks.transformer_layers import TextEncoderConfig, text_encoder


@dataclass(frozen=True)
class TaggedTextConfig:
    """Sentences whose words have tags, and how they become batches.

    Args:
        name: conll: files with a word on each line, its columns parted by spaces or tabs, and a blank line
            behind each sentence.
        train: files.
        validation: like train; none to train without validation.
        test: like train.
        word_column: which column holds the words, from 1 on; -1 is the last.
        tag_column: which column holds the tags.
        max_length: tokens that the model sees together, the start token included; of a longer sentence in
            training the first.
        batch_size: sentences in a batch.
    """

    name: str = "conll"
    train: list[str] | str = field(default_factory=list)
    validation: list[str] | str = field(default_factory=list)
    test: list[str] | str = field(default_factory=list)
    word_column: int = 1
    tag_column: int = -1
    max_length: int = 128
    batch_size: int = 32

    def __post_init__(self):
        make_lists(self, "train", "validation", "test")


@dataclass(frozen=True)
class TaggerConfig(TextEncoderConfig):
    """The tagger's sizes.

    Args:
        kind: this model.
    """

    kind: Literal["tagger"] = "tagger"


@dataclass(frozen=True)
class TaggingConfig(ClassRunConfig):
    """A run that makes a tagger of words.

    Args:
        data: the sentences with their tags, and how they become batches.
        tokenizer: how a word becomes ids.
        model: its sizes.
    """

    data: TaggedTextConfig = field(default_factory=TaggedTextConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: TaggerConfig = field(default_factory=TaggerConfig)


class Tagging(TextClassesTask):
    """See `Task`. Tags count from 1: 0 is the label of padding, and of all pieces of a word but its first."""

    config_class = TaggingConfig
    models = {"tagger": TaggerConfig}
    command = "training.predict"
    about = """Tags the words of texts: python -m training.predict --run RUN [TEXT ...]

    A line for each word: the word, a tab, the probability of its tag, a tab, its tag; behind each text an
    empty line. Words are what stands between white space. Without texts, lines come from standard input.
    """
    num_unnamed = 1

    def load(self) -> None:
        super().load()
        self.classes = classes_of(chain.from_iterable(one.tags for one in self.examples["train"]))
        for one in self.examples["validation"] or ():
            numbers(one, self.classes)  # before a tokenizer is trained

    def load_split(self, split) -> None:
        from training.datasets import conll

        data = self.config.data
        self.examples[split] = conll.load(
            data.name,
            split,
            files=getattr(data, split),
            word_column=data.word_column,
            tag_column=data.tag_column,
        )

    @classmethod
    def other_files(cls, config, files, facts) -> RunConfig:
        return replace(config, data=replace(config.data, train=[], validation=[], test=list(files)))

    def train_tokenizers(self) -> None:
        from training.tasks.tokenizing import train_tokenizer

        # With the space that begins a word.
        texts = [f" {' '.join(one.words)}" for one in self.examples["train"]]
        self.tokenizers = {"text": train_tokenizer(self.config.tokenizer, texts)}

    def batches(self, split, row_multiple=1) -> Any:
        from keras_transformer.pipelines.tagger import pieces, ragged
        from training import pipeline

        data, sentences = self.config.data, self.examples[split]
        ids, labels = pipeline.labelled_rows(
            [one.words for one in sentences],
            [numbers(one, self.classes) for one in sentences],
            lambda words: pieces(ragged(words), self.tokenizers["text"], data.max_length),
        )
        num_unread = sum(len(one.words) for one in sentences) - int((labels > 0).sum())
        if num_unread:
            beyond = f"beyond data.max_length, {data.max_length} tokens"
            print(f"{split}: {num_unread:,} words lie {beyond}, and are not in the loss")
        return pipeline.TokenBatches(
            ids,
            labels,
            batch_size=data.batch_size,
            boundaries=pipeline.default_boundaries(data.max_length),
            shuffle=split == "train",
            seed=self.config.fit.seed,
            row_multiple=row_multiple,
        )

    def random_batch(self, sizes, shape, generator) -> tuple[Any, Any]:
        ids = generator.integers(4, sizes["vocabulary_size"], shape, dtype="int32")
        return {"token_ids": ids}, generator.integers(1, sizes["num_classes"], shape, dtype="int32")

    def make_model(self, sizes) -> Any:
        from keras_transformer import models

        options = self.model_options()
        encoder = text_encoder(sizes["vocabulary_size"], self.config.data.max_length, **options)
        model = models.TokenClassifier(encoder, sizes["num_classes"], dropout=options["dropout"])
        model.build()
        return model

    def metrics(self) -> list:
        from keras_transformer import metrics

        return [metrics.TokenAccuracy(name="accuracy")]

    def measure(self, model, split, search=None) -> list:
        from keras_transformer.pipelines.tagger import Tagger
        from training import entity_measures

        (loss,) = (one for one in super().measure(model, split) if one.name == "loss")
        sentences = self.examples[split]
        tagger = Tagger(model, self.tokenizers["text"], self.classes, self.config.data.max_length)
        found = [[word.tag for word in words] for words in tagger.tag([one.words for one in sentences])]
        right = [one.tags for one in sentences]
        return [loss, *entity_measures.measure(right, found, self.classes, f"split:{split}")]

    @classmethod
    def add_options(cls, parser) -> None:
        parser.add_argument("texts", type=str, nargs="*", default=[], metavar="TEXT", help="to be tagged")

    @classmethod
    def predict(cls, options, config) -> None:
        with quiet.start_up():
            from keras_transformer.pipelines.tagger import Tagger
        with lines.reader(options.texts) as texts, lines.writer(None) as write:
            tagger = Tagger.from_run(options.run, options.checkpoint)
            for chunk in lines.chunks(texts):
                for words in tagger.tag(chunk):
                    write([*map(as_line, words), ""])


def numbers(sentence, classes) -> list[int]:
    """The tags of a `conll.Sentence` as numbers from 1 on.

    Raises:
        ValueError: a tag was not trained; names file and line.
    """
    places = {name: place for place, name in enumerate(classes, start=1)}
    for line, tag in enumerate(sentence.tags, start=sentence.line):
        if tag not in places:
            raise ValueError(
                "Every tag must be one of the training data's. "
                f"Received: {tag!r}, {sentence.file}, line {line}."
            )
    return [places[tag] for tag in sentence.tags]


def as_line(tagged) -> str:
    """A `TaggedWord` as a line of columns, like those that are trained on."""
    return f"{lines.one_line(tagged.word)}\t{tagged.probability:.4f}\t{lines.one_line(tagged.tag)}"


TASK = Tagging
