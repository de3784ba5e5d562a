"""Writes a Marian folder in the size of an OPUS-MT model, with random weights.

    python -m benchmarks.translation_peers.marian_folder FOLDER SOURCE_TEXTS TARGET_TEXTS

with transformers 5, torch 2.13 and sentencepiece. 6 + 6 layers of 512, 8 heads, 2,048, 58,101 pieces: those
of two unigram models of the texts, and words that no text has. The weights are drawn so that translations
differ and end: hidden units have a mean of zero over their inputs and attention adds little, or all
positions would soon be alike; the last norm is large, so that the best piece is seldom near the second.
"""

import json
import sys
from pathlib import Path

import sentencepiece
import torch
from transformers import MarianConfig, MarianMTModel

VOCABULARY_SIZE = 58_101
GAINS = {
    "v_proj": 0.5,
    "out_proj": 0.5,
}  # of the maps: positions are told apart by what is not the same for all
GAIN = 2.0  # of the others
SPREAD = 3.0  # standard deviation of the logits
END_BIAS = 9.0  # on the logit of the end


def main(folder, source_texts, target_texts):
    folder = Path(folder)
    folder.mkdir(parents=True)
    pieces = {"</s>": 0, "<unk>": 1}
    for side, texts in (("source", source_texts), ("target", target_texts)):
        sentencepiece.SentencePieceTrainer.train(
            input=texts,
            model_prefix=str(folder / side),
            vocab_size=32_000,
            hard_vocab_limit=False,
            model_type="unigram",
            minloglevel=2,
        )
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{side}.model"))
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
        (folder / f"{side}.vocab").unlink()
        for number in range(3, model.get_piece_size()):
            pieces.setdefault(model.id_to_piece(number), len(pieces))
    for number in range(VOCABULARY_SIZE - 1 - len(pieces)):
        pieces[f"\u2581w{number}"] = len(pieces)
    pieces["<pad>"] = VOCABULARY_SIZE - 1
    (folder / "vocab.json").write_text(json.dumps(pieces))
    told = {"separate_vocabs": False, "model_max_length": 512, "tokenizer_class": "MarianTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    model = drawn(pieces["<pad>"])
    model.save_pretrained(folder)


def drawn(pad):
    """The model."""
    torch.manual_seed(1)
    sides = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in (("layers", 6), ("attention_heads", 8), ("ffn_dim", 2048))
    }
    model = MarianMTModel(
        MarianConfig(
            vocab_size=pad + 1,
            d_model=512,
            max_position_embeddings=512,
            pad_token_id=pad,
            eos_token_id=0,
            decoder_start_token_id=pad,
            forced_eos_token_id=None,
            activation_function="swish",
            scale_embedding=True,
            **sides,
        )
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("shared.weight"):
                weight.normal_(0, 512**-0.5)
                weight[pad] = 0  # which CTranslate2's converter takes for granted
            elif weight.ndim == 2 and weight.requires_grad:
                gain = GAINS.get(name.split(".")[-2], GAIN)
                weight.normal_(0, gain * weight.shape[1] ** -0.5)
                if ".fc2." in name:
                    weight -= weight.mean(dim=1, keepdim=True)
        model.model.decoder.layers[-1].final_layer_norm.weight.fill_(SPREAD)
        model.final_logits_bias[0, 0] = END_BIAS
    model.generation_config.bad_words_ids = [[pad]]
    return model.eval()


if __name__ == "__main__":
    main(*sys.argv[1:])
