"""Our captioners as a careful PyTorch user writes it for speed: channels-last convolutions, scaled_dot_product_attention, one
encoder pass for all captions of an image, whose words are the queries of one cross-attention. Parameter names are ours."""

import math

import torch
from eir import EirDecoder
from encoders import build_encoder
from lstm import LstmDecoder
from torch import nn
from torch.nn import functional as F

PAD = 0


def make_norm(c, dim):
    # Keras's epsilon for the captioner that came from there.
    epsilon = 1e-3 if c["memory"] == "block" else 1e-5
    return nn.RMSNorm(dim, eps=epsilon) if c["norm"] == "rms" else nn.LayerNorm(dim, eps=epsilon)


def sinusoids(count, dim):
    """Vaswani et al. 2017, section 3.5."""
    angle = torch.arange(count)[:, None] / 10000 ** (torch.arange(0, dim, 2) / dim)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


class Attention(nn.Module):
    def __init__(self, dim, heads, size):
        super().__init__()
        inner = heads * size
        self.in_proj_weight = nn.Parameter(torch.empty(3 * inner, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * inner))
        self.out_proj = nn.Linear(inner, dim)
        self.heads, self.inner = heads, inner

    def project(self, x, start, end):
        """Parts start .. end of (queries, keys, values) for x [B, T, D], each [B, heads, T, size]."""
        rows = slice(start * self.inner, end * self.inner)
        y = F.linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])
        return y.view(*x.shape[:2], end - start, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    def merge(self, y):
        return self.out_proj(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        dim = c["dim"]
        size = c.get("headSize", dim // c["heads"])
        self.self_attn = Attention(dim, c["heads"], size)
        self.multihead_attn = Attention(dim, c["heads"], size)
        self.linear1 = nn.Linear(dim, c["feedForward"])
        self.linear2 = nn.Linear(c["feedForward"], dim)
        self.norm1, self.norm2, self.norm3 = (make_norm(c, dim) for _ in range(3))
        self.pre_norm = c["preNorm"]
        self.activation = F.gelu if c["activation"] == "gelu" else F.relu

    def branch(self, norm, x, inner, dropout):
        y = x + F.dropout(inner(norm(x) if self.pre_norm else x), dropout, self.training and dropout > 0)
        return y if self.pre_norm else norm(y)

    def forward(self, x, attend, look, dropouts):
        def feed_forward(h):
            p = dropouts["feedForward"]
            h = self.activation(self.linear1(h))
            return self.linear2(F.dropout(h, p, self.training and p > 0))

        p = dropouts["residual"]
        x = self.branch(self.norm1, x, lambda h: self.self_attn.merge(attend(h)), p)
        x = self.branch(self.norm2, x, lambda h: self.multihead_attn.merge(look(h)), p)
        return self.branch(self.norm3, x, feed_forward, p)


class MemoryBlock(nn.Module):
    """Self-attention among the image's cells; memory [B, S, channels] -> [B, S, D]."""

    def __init__(self, c, channels):
        super().__init__()
        dim, heads = c["dim"], c["memoryHeads"]
        self.norm1, self.norm2 = make_norm(c, channels), make_norm(c, dim)
        self.linear1 = nn.Linear(channels, dim)
        self.self_attn = Attention(dim, heads, c.get("headSize", dim // heads))

    def forward(self, memory):
        x = F.relu(self.linear1(self.norm1(memory)))
        y = F.scaled_dot_product_attention(*self.self_attn.project(x, 0, 3))
        return self.norm2(x + self.self_attn.merge(y))


class Decoder(nn.Module):
    """`c` has the keys of model.decoder."""

    def __init__(self, c, channels, cells, vocabulary):
        super().__init__()
        dim = c["dim"]
        self.embedding = nn.Embedding(vocabulary, dim)
        self.learned = c["positions"] == "learned"
        if self.learned:
            self.positions = nn.Embedding(c["maxTokens"], dim)
        else:
            self.register_buffer("table", sinusoids(c["maxTokens"], dim), persistent=False)
        self.kind = c["memory"]
        if self.kind == "projected":
            self.memory = nn.Linear(channels, dim)
            self.memory_positions = nn.Embedding(cells, dim)
            self.memory_norm = make_norm(c, dim)
        elif self.kind == "block":
            self.memory = MemoryBlock(c, channels)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c["layers"]))
        self.norm = make_norm(c, dim) if c["preNorm"] else nn.Identity()
        self.output = nn.Linear(dim, vocabulary)
        if c["tied"]:
            self.output.weight = self.embedding.weight
        self.heads, self.scale = c["heads"], math.sqrt(dim)
        self.dropouts = {
            "residual": c["dropout"],
            "attention": c["attentionDropout"],
            "feedForward": c.get("feedForwardDropout", c["dropout"]),
            "output": c["outputDropout"],
        }

    @property
    def places(self):
        return self.positions.weight if self.learned else self.table

    def keys_values(self, memory):
        """Cross-attention's keys and values of every layer; memory [B, S, channels]."""
        m = memory if self.kind == "direct" else self.memory(memory)
        if self.kind == "projected":
            m = self.memory_norm(m + self.memory_positions.weight)
        return [layer.multihead_attn.project(m, 1, 3) for layer in self.layers]

    def dropped(self, x, kind):
        p = self.dropouts[kind]
        return F.dropout(x, p, self.training and p > 0)

    def loss(self, memory, tokens, smoothing):
        """tokens [R, T + 1], padded; the R / B captions of an image stand side by side."""
        images, (rows, length) = memory.shape[0], (tokens.shape[0], tokens.shape[1] - 1)
        x = self.embedding(tokens[:, :-1]) * self.scale + self.places[:length]
        x = self.dropped(x, "residual")
        p = self.dropouts["attention"] if self.training else 0.0
        for layer, (k, v) in zip(self.layers, self.keys_values(memory)):

            def attend(h, layer=layer):
                # Pads come last, so the causal mask alone keeps them away from words.
                return F.scaled_dot_product_attention(*layer.self_attn.project(h, 0, 3), dropout_p=p, is_causal=True)

            def look(h, layer=layer, k=k, v=v):
                (q,) = layer.multihead_attn.project(h.view(images, -1, h.shape[-1]), 0, 1)
                y = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
                return y.transpose(1, 2).reshape(rows, length, self.heads, -1).transpose(1, 2)

            x = layer(x, attend, look, self.dropouts)
        logits = self.output(self.dropped(self.norm(x), "output")).flatten(0, 1)
        return F.cross_entropy(logits, tokens[:, 1:].flatten(), ignore_index=PAD, label_smoothing=smoothing)

    def start(self, memory, beams, length):
        size = self.layers[0].self_attn.inner // self.heads
        shape = (len(self.layers), 2, memory.shape[0] * beams, self.heads, length, size)
        return {"cache": memory.new_empty(shape), "cross": self.keys_values(memory), "images": memory.shape[0]}

    def step(self, state, tokens, position):
        """Logits [R, V] after tokens [R] at `position`."""
        x = (self.embedding(tokens) * self.scale + self.places[position])[:, None]
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

            x = layer(x, attend, look, self.dropouts)
        return self.output(self.norm(x))[:, 0]

    def reorder(self, state, rows, position):
        """Row r goes on from what row rows[r] has read."""
        cache = state["cache"][..., : position + 1, :]
        cache.copy_(cache.index_select(2, rows))


class Captioner(nn.Module):
    """`config` has the keys of our model config."""

    def __init__(self, config, vocabulary):
        super().__init__()
        encoder, c, size = config["encoder"], config["decoder"], config["image"]["size"]
        self.encoder = build_encoder(
            encoder["name"], encoder["padding"], size, encoder["normEpsilon"], encoder["dropout"]
        )
        channels, cells = self.encoder.channels, math.ceil(size / self.encoder.reduction) ** 2
        if c["name"] == "lstm":
            self.decoder = LstmDecoder(c, channels, vocabulary)
        elif c["name"] == "eir":
            self.decoder = EirDecoder(c, channels, vocabulary)
        else:
            self.decoder = Decoder(c, channels, cells, vocabulary)
        mean, std = (torch.tensor(config["image"][name]) for name in ["mean", "std"])
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def encode(self, pixels):
        """uint8 [B, H, W, 3] to memory [B, S, channels]; NHWC in memory all the way."""
        x = (pixels * self.scale + self.shift).permute(0, 3, 1, 2)
        return self.encoder(x.to(next(self.encoder.parameters()).dtype)).flatten(2).transpose(1, 2)
