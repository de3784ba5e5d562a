"""transformers' `BertModel` on PyTorch, mean pooling and normalisation as sentence-transformers has them."""

import torch
from transformers import AutoTokenizer, BertModel

from benchmarks.embedding_peers import child


class Embedder(torch.nn.Module):
    """Ids and their mask, (B, T), to vectors of length 1, (B, D)."""

    def __init__(self, folder):
        super().__init__()
        self.bert = BertModel.from_pretrained(folder, add_pooling_layer=False)

    def forward(self, input_ids, attention_mask):
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask[..., None].float()
        pooled = (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9)
        return torch.nn.functional.normalize(pooled, dim=1)


def encoder(folder, max_length=256):
    """A function: list of texts -> ids and mask, (B, T), PyTorch's integers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def encode(texts):
        options = dict(padding=True, truncation=True, max_length=max_length, return_tensors="pt")
        batch = tokenizer(texts, **options)
        return batch["input_ids"], batch["attention_mask"]

    return encode


def make(specification):
    torch.set_num_threads(specification["threads"])
    encode, model = encoder(specification["folder"]), Embedder(specification["folder"]).eval()

    @torch.inference_mode()
    def embed(texts):
        return model(*encode(texts)).numpy()

    return child.one_by_one(embed)


if __name__ == "__main__":
    child.serve(make)
