"""Multi30k: 29,000 image captions in English, German and French (Elliott et al. 2016 and 2017)."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
import tensorflow_datasets as tfds
from etils import epath

from training.datasets.parallel_text import read_pairs
from training.datasets.tfds_translation import prepare

LANGUAGES = ("de", "en", "fr")
FILE_STEMS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}  # upstream names
_URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"


class Multi30k(tfds.core.GeneratorBasedBuilder):
    """Image captions of Flickr30k and their translations; test split: test 2016 (Flickr).

    Elliott, Frank, Sima'an and Specia 2016, "Multi30K: Multilingual English-German Image Descriptions";
    French: Elliott et al. 2017. For research only: https://github.com/multi30k/dataset has the terms.
    A config is a direction, `de_en` for German to English. checksums.tsv has the upstream files' SHA-256.
    """

    # tfds 4.9.10 finds the folder of checksums.tsv by a module that it does not install.
    code_path = epath.Path(__file__)
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=f"{source}_{target}", description=f"{source} to {target}")
        for source in LANGUAGES
        for target in LANGUAGES
        if source != target
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        languages = tuple(self.builder_config.name.split("_"))
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.Translation(languages=languages),
            supervised_keys=languages,
            homepage="https://github.com/multi30k/dataset",
            # The upstream order: a prepared copy and a `data_dir` give the same sequence.
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager):
        source, target = self.builder_config.name.split("_")
        files = dl_manager.download(
            {
                split: [f"{_URL}/{stem}.{language}.gz" for language in (source, target)]
                for split, stem in FILE_STEMS.items()
            }
        )
        return {split: self._generate_examples(*paths) for split, paths in files.items()}

    def _generate_examples(
        self, source_file: Path, target_file: Path
    ) -> Iterator[tuple[int, dict[str, str]]]:
        source, target = self.builder_config.name.split("_")
        for index, pair in enumerate(read_pairs((source_file, target_file))):
            yield index, dict(zip((source, target), pair, strict=True))


def load(
    split: str,
    *,
    source_language: str = "de",
    target_language: str = "en",
    data_dir: str | Path | None = None,
) -> tf.data.Dataset:
    """Sentence pairs of one split, in the order of the upstream files.

    Args:
        split: "train" (29,000 pairs), "validation" (1,014) or "test" (1,000: test 2016, Flickr).
        source_language: "de", "en" or "fr".
        target_language: another of them.
        data_dir: folder with the upstream files: `train.de.gz` or `train.de`, `val...`,
            `test_2016_flickr...`. None: they are downloaded once, checked, and kept where
            tensorflow-datasets keeps its data.

    Returns:
        Dataset of (source, target), scalar tf.string each.

    Raises:
        ValueError: unknown split or language, or a file is damaged.
        FileNotFoundError: `data_dir` lacks a file, or there is no network to download from.
    """
    for language in (source_language, target_language):
        if language not in LANGUAGES:
            raise ValueError(
                f"A language of multi30k must be one of {', '.join(LANGUAGES)}. Received: {language!r}."
            )
    if source_language == target_language:
        raise ValueError(f"Source and target language must differ. Received: {source_language!r} for both.")
    if split not in FILE_STEMS:
        raise ValueError(f"`split` must be one of {', '.join(FILE_STEMS)}. Received: {split!r}.")

    if data_dir is None:
        return _downloaded(split, source_language, target_language)
    files = [find_file(data_dir, split, language) for language in (source_language, target_language)]
    sources, targets = zip(*read_pairs(files), strict=True)
    return tf.data.Dataset.from_tensor_slices((list(sources), list(targets)))


def find_file(data_dir: str | Path, split: str, language: str) -> Path:
    """Path of one upstream file in `data_dir`, gzip or plain.

    Raises:
        FileNotFoundError: neither is there.
    """
    plain = Path(data_dir) / f"{FILE_STEMS[split]}.{language}"
    for path in (plain.with_name(plain.name + ".gz"), plain):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"`data_dir` must hold {plain.name}.gz or {plain.name}. Received: data_dir={data_dir}."
    )


def _downloaded(split: str, source_language: str, target_language: str) -> tf.data.Dataset:
    builder = Multi30k(config=f"{source_language}_{target_language}")
    if not builder.is_prepared():
        _check_reachable(f"{_URL}/{FILE_STEMS['test']}.en.gz")
        prepare(builder)
    pairs = builder.as_dataset(split=split, shuffle_files=False)
    return pairs.map(lambda pair: (pair[source_language], pair[target_language]))


def _check_reachable(url: str):
    # tfds tries again for minutes before it says that there is no network.
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=30).close()
    except OSError as error:
        raise FileNotFoundError(
            "Multi30k must be in `data_dir` where it cannot be downloaded. "
            f"Received: data_dir=None, {url} ({error})."
        ) from error
