"""Our captioner as a careful PyTorch user writes it for speed: channels-last convolutions, scaled_dot_product_attention, one
encoder pass for all captions of an image, whose words are the queries of one cross-attention. Parameter names are ours."""

import math

import torch
from encoders import build_encoder
from torch import nn
from torch.nn import functional as F

PAD = 0


def make_norm(kind, dim):
    return nn.RMSNorm(dim, eps=1e-5) if kind == "rms" else nn.LayerNorm(dim)


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        self.heads = heads

    def project(self, x, start, end):
        """Parts start .. end of (queries, keys, values) for x [B, T, D], each [B, heads, T, size]."""
        dim = x.shape[-1]
        rows = slice(start * dim, end * dim)
        y = F.linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])
        return y.view(*x.shape[:2], end - start, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    def merge(self, y):
        return self.out_proj(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        dim = c["dim"]
        self.self_attn = Attention(dim, c["heads"])
        self.multihead_attn = Attention(dim, c["heads"])
        self.linear1 = nn.Linear(dim, c["feedForward"])
        self.linear2 = nn.Linear(c["feedForward"], dim)
        self.norm1, self.norm2, self.norm3 = (make_norm(c["norm"], dim) for _ in range(3))
        self.pre_norm = c["preNorm"]
        self.activation = F.gelu if c["activation"] == "gelu" else F.relu

    def branch(self, norm, x, inner, dropout):
        y = x + F.dropout(inner(norm(x) if self.pre_norm else x), dropout, self.training and dropout > 0)
        return y if self.pre_norm else norm(y)

    def forward(self, x, attend, look, dropout):
        def feed_forward(h):
            h = self.activation(self.linear1(h))
            return self.linear2(F.dropout(h, dropout, self.training and dropout > 0))

        x = self.branch(self.norm1, x, lambda h: self.self_attn.merge(attend(h)), dropout)
        x = self.branch(self.norm2, x, lambda h: self.multihead_attn.merge(look(h)), dropout)
        return self.branch(self.norm3, x, feed_forward, dropout)


class Decoder(nn.Module):
    """`c` has the keys of model.decoder."""

    def __init__(self, c, channels, cells, vocabulary):
        super().__init__()
        dim = c["dim"]
        self.embedding = nn.Embedding(vocabulary, dim)
        self.positions = nn.Embedding(c["maxTokens"], dim)
        self.memory = nn.Linear(channels, dim)
        self.memory_positions = nn.Embedding(cells, dim)
        self.memory_norm = make_norm(c["norm"], dim)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["layers"]))
        self.norm = make_norm(c["norm"], dim) if c["preNorm"] else nn.Identity()
        self.output = nn.Linear(dim, vocabulary)
        if c["tied"]:
            self.output.weight = self.embedding.weight
        self.heads, self.scale = c["heads"], math.sqrt(dim)
        self.dropout, self.attention_dropout = c["dropout"], c["attentionDropout"]

    def keys_values(self, memory):
        """Cross-attention's keys and values of every layer; memory [B, S, channels]."""
        m = self.memory_norm(self.memory(memory) + self.memory_positions.weight)
        return [layer.multihead_attn.project(m, 1, 3) for layer in self.layers]

    def loss(self, memory, tokens, smoothing):
        """tokens [R, T + 1], padded; the R / B captions of an image stand side by side."""
        images, (rows, length) = memory.shape[0], (tokens.shape[0], tokens.shape[1] - 1)
        x = self.embedding(tokens[:, :-1]) * self.scale + self.positions.weight[:length]
        x = F.dropout(x, self.dropout, self.training and self.dropout > 0)
        p = self.attention_dropout if self.training else 0.0
        for layer, (k, v) in zip(self.layers, self.keys_values(memory)):

            def attend(h, layer=layer):
                # Pads come last, so the causal mask alone keeps them away from words.
                return F.scaled_dot_product_attention(*layer.self_attn.project(h, 0, 3), dropout_p=p, is_causal=True)

            def look(h, layer=layer, k=k, v=v):
                (q,) = layer.multihead_attn.project(h.view(images, -1, h.shape[-1]), 0, 1)
                y = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
                return y.transpose(1, 2).reshape(rows, length, self.heads, -1).transpose(1, 2)

            x = layer(x, attend, look, self.dropout)
        logits = self.output(self.norm(x)).flatten(0, 1)
        return F.cross_entropy(logits, tokens[:, 1:].flatten(), ignore_index=PAD, label_smoothing=smoothing)

    def start(self, memory, beams, length):
        size = self.positions.weight.shape[1] // self.heads
        shape = (len(self.layers), 2, memory.shape[0] * beams, self.heads, length, size)
        return {"cache": memory.new_empty(shape), "cross": self.keys_values(memory), "images": memory.shape[0]}

    def step(self, state, tokens, position):
        """Logits [R, V] after tokens [R] at `position`."""
        x = (self.embedding(tokens) * self.scale + self.positions.weight[position])[:, None]
        images, rows = state["images"], tokens.shape[0]
        for i, layer in enumerate(self.layers):
            cache, (k, v) = state["cache"][i], state["cross"][i]

            def attend(h, layer=layer, cache=cache):
                q, *new = layer.self_attn.project(h, 0, 3)
                cache[0, :, :, position], cache[1, :, :, position] = new[0][:, :, 0], new[1][:, :, 0]
                return F.scaled_dot_product_attention(q, *cache[:, :, :, : position + 1])

            def look(h, layer=layer, k=k, v=v):
                (q,) = layer.multihead_attn.project(h.view(images, -1, h.shape[-1]), 0, 1)
                y = F.scaled_dot_product_attention(q, k, v)
                return y.transpose(1, 2).reshape(rows, 1, self.heads, -1).transpose(1, 2)

            x = layer(x, attend, look, 0.0)
        return self.output(self.norm(x))[:, 0]


class Captioner(nn.Module):
    """`config` has the keys of our model config."""

    def __init__(self, config, vocabulary):
        super().__init__()
        self.encoder = build_encoder(config["encoder"]["name"], config["encoder"]["padding"])
        cells = (config["image"]["size"] // self.encoder.reduction) ** 2
        self.decoder = Decoder(config["decoder"], self.encoder.channels, cells, vocabulary)
        mean, std = (torch.tensor(config["image"][name]) for name in ["mean", "std"])
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def encode(self, pixels):
        """uint8 [B, H, W, 3] to memory [B, S, channels]; NHWC in memory all the way."""
        x = (pixels * self.scale + self.shift).permute(0, 3, 1, 2)
        return self.encoder(x.to(next(self.encoder.parameters()).dtype)).flatten(2).transpose(1, 2)
