"""PyTorch's `nn.Transformer`. Variants: "eager", "compile"."""

import itertools
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.training_peers import child


class Transformer(nn.Module):
    """Embedding shared by source, target and logits, sinusoids, `nn.Transformer`."""

    def __init__(self, sizes, dropout, length):
        super().__init__()
        width = sizes["hidden_dim"]
        self.embedding = nn.Embedding(sizes["vocabulary_size"], width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        angles = torch.arange(length)[:, None] * torch.exp(
            torch.arange(0, width, 2) * (-math.log(1e4) / width)
        )
        self.register_buffer("positions", torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1))
        self.register_buffer(
            "future", nn.Transformer.generate_square_subsequent_mask(length, dtype=torch.bool)
        )
        self.dropout = nn.Dropout(dropout)
        self.transformer = nn.Transformer(
            width,
            sizes["num_heads"],
            sizes["num_layers"],
            sizes["num_layers"],
            sizes["intermediate_dim"],
            dropout,
            batch_first=True,
        )
        # The paper's places alone: neither attention weights nor inside the feed-forward network.
        for module in self.transformer.modules():
            if isinstance(module, nn.MultiheadAttention):
                module.dropout = 0.0
            elif isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
                module.dropout = nn.Identity()

    def forward(self, source_ids, target_ids):
        source_padding = source_ids == 0
        hidden = self.transformer(
            self.embed(source_ids),
            self.embed(target_ids),
            tgt_mask=self.future,
            tgt_is_causal=True,
            src_key_padding_mask=source_padding,
            memory_key_padding_mask=source_padding,
        )
        return functional.linear(hidden, self.embedding.weight)

    def embed(self, ids):
        return self.dropout(self.embedding(ids) * math.sqrt(self.embedding.embedding_dim) + self.positions)


class Training:
    """See `child.serve`."""

    def __init__(self, specification, batches, device="cpu"):
        length = batches["labels"].shape[-1]
        self.model = Transformer(specification["sizes"], specification["dropout"], length).to(device)
        self.model.train()
        self.label_smoothing = specification["label_smoothing"]
        # Its fastest Adam.
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4, fused=True)
        compiled = specification["variant"] == "compile"
        self.forward = torch.compile(self.loss) if compiled else self.loss
        names = ("source_ids", "target_ids", "labels")
        batches = [torch.from_numpy(batches[name]).long().to(device) for name in names]
        self.batches = itertools.cycle(zip(*batches, strict=True))

    def loss(self, source_ids, target_ids, labels):
        logits = self.model(source_ids, target_ids)
        return functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=0, label_smoothing=self.label_smoothing
        )

    def weights(self):
        return [np.array(parameter.detach()) for parameter in self.model.parameters()]

    def run(self, steps):
        return child.timed(self.step, steps)

    def step(self):
        self.optimizer.zero_grad()
        loss = self.forward(*next(self.batches))
        loss.backward()
        self.optimizer.step()
        return loss


def make(specification, batches):
    torch.set_num_threads(specification["threads"])
    torch.manual_seed(0)
    return Training(specification, batches)


if __name__ == "__main__":
    child.serve(make)
