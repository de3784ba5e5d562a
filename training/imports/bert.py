"""BERT and its kin with the same names, MiniLM among them (Devlin et al. 2019).

What the folder is of says `architectures` of config.json, or else which tensors there are: a masked language
model, a classifier of texts, a tagger of words, or a plain encoder, which becomes a text embedder. How its
vectors are pooled is read from modules.json and 1_Pooling/config.json, as sentence-transformers writes them;
a folder with the first is an embedder, whatever its architecture. Without them the vector is the mean, which
is not normalised.
"""

from training.imports import bert_heads, bert_tokenizer, bert_weights
from training.imports.imported import Imported
from training.imports.source_folder import SourceFolder
from training.imports.tensors import Tensors
from training.tasks.text_embedding import (
    EmbeddedTextConfig,
    TextEmbedderConfig,
    TextEmbeddingConfig,
    make_model,
)

ACTIVATIONS = {"gelu": "gelu", "relu": "relu", "silu": "silu", "swish": "silu"}
# Modules of sentence-transformers, by the last part of their type.
MODULES = ("Transformer", "Pooling", "Normalize")
POOLINGS = {"mean_tokens": "mean", "cls_token": "first", "max_tokens": "max"}


def read(source: SourceFolder) -> Imported:
    """The folder as a run: of a masked language model, a text classifier, a tagger or a text embedder.

    Raises:
        ValueError: something in it is missing, surplus, damaged or not supported: one line that names it.
    """
    sizes = _sizes(source)
    max_length = _max_length(source, sizes["max_length"])
    modules = source.json("modules.json", list)
    tensors = Tensors(source)
    kind = bert_heads.EMBEDDER if modules is not None else bert_heads.kind(source, tensors)
    tokenizer = bert_tokenizer.read(source)
    vocabulary_size = source.value("vocab_size", int)
    if tokenizer.vocabulary_size > vocabulary_size:
        raise ValueError(
            f"The vocabulary must fit the embedding, vocab_size {vocabulary_size}. "
            f"Received: {tokenizer.vocabulary_size} pieces."
        )
    if kind == bert_heads.EMBEDDER:
        pooling, normalize = _pooling(source, modules)
        config = TextEmbeddingConfig(
            data=EmbeddedTextConfig(max_length=max_length),
            model=TextEmbedderConfig(**sizes, pooling=pooling, normalize=normalize),
        )
        model, facts, targets = make_model(config.model, vocabulary_size), {"max_length": max_length}, []
    else:
        task = bert_heads.task(kind, source, sizes, max_length, tokenizer)
        config, model, facts = task.config, task.make_model(task.sizes), task.facts
        targets = bert_heads.targets(kind, model, vocabulary_size)
    targets = [*bert_weights.targets(model.encoder, vocabulary_size), *targets]
    left_out = bert_weights.take(tensors, targets)
    return Imported(config, model, {"text": tokenizer}, facts, left_out)


def _sizes(source):
    """The fields that say the encoder's sizes, of every configuration here."""
    source.refuse_unless("position_embedding_type", "absolute")
    for name in ("is_decoder", "add_cross_attention"):
        source.refuse_unless(name, False)
    source.refuse_unless("pad_token_id", 0, None)
    source.refuse_unless("hidden_act", *ACTIVATIONS)
    return {
        "num_layers": source.value("num_hidden_layers", int),
        "hidden_dim": source.value("hidden_size", int),
        "num_heads": source.value("num_attention_heads", int),
        "intermediate_dim": source.value("intermediate_size", int),
        "dropout": source.value("hidden_dropout_prob", float, 0.1),
        "attention_dropout": source.value("attention_probs_dropout_prob", float, 0.1),
        "activation": ACTIVATIONS[source.config.get("hidden_act", "gelu")],
        "max_length": source.value("max_position_embeddings", int),
        "num_segments": source.value("type_vocab_size", int, 2),
        "norm_epsilon": source.value("layer_norm_eps", float, 1e-12),
    }


def _pooling(source, modules):
    """(pooling, whether the vector is normalised), by the modules of sentence-transformers, if any."""
    if modules is None:
        return "mean", False
    kinds = [str(module.get("type") if isinstance(module, dict) else module) for module in modules]
    names = [kind.rpartition(".")[2] for kind in kinds]
    if names not in (list(MODULES), list(MODULES[:2])):
        raise ValueError(
            f"modules.json must name {', '.join(MODULES[:2])} and, if at all, {MODULES[2]}, in this order. "
            f"Received: {', '.join(names)[:80]}."
        )
    file = f"{modules[1].get('path', '1_Pooling')}/config.json"
    config = source.json(file)
    if config is None:
        raise ValueError(f"{source.path} must hold {file}, which modules.json names. Received: none.")
    modes = [
        name.removeprefix("pooling_mode_") for name, on in config.items() if on is True and "_mode_" in name
    ]
    if len(modes) != 1 or modes[0] not in POOLINGS:
        raise ValueError(f"{file} must have one pooling_mode of {', '.join(POOLINGS)}. Received: {modes}.")
    return POOLINGS[modes[0]], len(names) == 3


def _max_length(source, positions):
    """Tokens that are read of a text: what sentence-transformers or the tokenizer says, if it is less."""
    lengths = [positions]
    for file, name in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("tokenizer_config.json", "model_max_length"),
    ):
        found = (source.json(file) or {}).get(name)
        if type(found) is int:
            lengths.append(found)
            break
    return max(min(lengths), 3)
