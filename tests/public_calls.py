"""Calls as an editor or a type checker sees them. Never run: mypy reads it in `make lint`.

What is wrong carries `type: ignore` with its error; where mypy finds no such error, the comment is one.
"""

from keras_transformer import decoding, layers, layouts, losses, masks, metrics, models, schedules
from keras_transformer.callbacks import KeepCheckpoints
from keras_transformer.pipelines.translator import Translator


def of_layers() -> None:
    layers.MultiHeadAttention(num_heads=8, key_dim=64, dropout=0.1, name="attention")
    layers.MultiHeadAttention(8, 64, kernel_initializer="he_normal", attention_axes=(1, 2))
    layers.MultiHeadAttention(num_heads="8", key_dim=64)  # type: ignore[arg-type]
    layers.MultiHeadAttention(num_heads=8)  # type: ignore[call-arg]
    layers.EncoderLayer(num_heads=8, intermediate_dim=2048, activation="gelu")
    layers.EncoderLayer(num_heads=8, intermediate_dim=2048, norm_first="pre")  # type: ignore[arg-type]
    layers.Decoder(num_layers=6, num_heads=8.0, intermediate_dim=2048)  # type: ignore[arg-type]
    layers.TokenEmbedding("32000", 512)  # type: ignore[arg-type]
    layers.PositionalEncoding(max_wavelength=None)  # type: ignore[arg-type]
    layers.RecurrentEncoder(1, 512, cell="lstm")
    layers.RecurrentEncoder(1, 512, cell="rnn")  # type: ignore[arg-type]
    layers.ImageEncoder(filters=32)  # type: ignore[arg-type]


def of_models() -> None:
    model = models.Transformer(37_000, 37_000, num_layers=2, dropout=0, name="small")
    model.encode([[5, 3]], training=False)
    model.freeze(["encoder"])
    model.freeze(5)  # type: ignore[arg-type]
    models.Transformer(37_000)  # type: ignore[call-arg]
    models.Transformer.from_preset("transformer_base", 37_000, 37_000).decode_step([2], {}, 0)
    models.CausalLM(vocabulary_size=256, max_length="long")  # type: ignore[arg-type]
    models.RNNSeq2Seq(11, 13, attention="additive", window=5)
    models.RNNSeq2Seq(11, 13, attention="bahdanau")  # type: ignore[arg-type]
    models.ImageCaptioner(31, decoder="lstm")  # type: ignore[arg-type]


def of_decoding() -> None:
    model = models.CausalLM(256)
    ids, scores = decoding.generate(model, {"prompt_ids": [[5]]}, decoding.Sampling(64, temperature=0.7))
    decoding.generate(model, {"prompt_ids": [[5]]}, search="greedy")  # type: ignore[arg-type]
    decoding.BeamSearch(max_length=64, width=4, alpha=0.6)
    decoding.BeamSearch(max_length=64, width=2.5)  # type: ignore[arg-type]
    decoding.Ensemble([model, model])
    decoding.Ensemble(2)  # type: ignore[arg-type]


def of_training() -> None:
    losses.SmoothedCrossEntropy(label_smoothing=0.1)
    losses.SmoothedCrossEntropy(label_smoothing="a little")  # type: ignore[arg-type]
    metrics.Perplexity(pad_id=0.5)  # type: ignore[arg-type]
    schedules.TransformerSchedule(hidden_dim=512, warmup_steps=4000)
    schedules.TransformerSchedule()  # type: ignore[call-arg]
    masks.causal_mask(7)
    masks.local_mask(7, window=None)  # type: ignore[arg-type]
    layouts.model_parallel(None, axis=1)  # type: ignore[arg-type]
    KeepCheckpoints("checkpoints", last=2, monitor="val_loss", mode="min")
    KeepCheckpoints("checkpoints", mode="lowest")  # type: ignore[arg-type]


def of_texts(text: str) -> None:
    translator = Translator.from_run("run", search=decoding.Greedy(max_length=64))
    translator.hypotheses([text], batch_size=8)[0][0].text.upper()
    translator.hypotheses([text], batch_size="8")  # type: ignore[arg-type]
    Translator.from_run("run", search=64)  # type: ignore[arg-type]
