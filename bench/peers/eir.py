"""EIR's caption decoder as a careful PyTorch user writes it for speed: with keys and values kept, the image's side computed once
and shared by its captions. Parameter names are ours; the architecture is that of ts/models/decoders/eir.ts."""

import math

import torch
from torch import nn
from torch.nn import functional as F

PAD = 0


def sinusoids(count, dim):
    """Vaswani et al. 2017, section 3.5."""
    angle = torch.arange(count)[:, None] / 10000 ** (torch.arange(0, dim, 2) / dim)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


def turns(count, size):
    """Cosines and sines [count, size / 2] of rotary positions (Su et al. 2021)."""
    angle = torch.arange(count)[:, None] / 10000 ** (torch.arange(0, size, 2) / size)
    return angle.cos(), angle.sin()


def turned(x, cos, sin):
    """Neighbouring columns of x [..., size] as pairs, each turned by its angle."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


class Scale(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((dim,), 1e-5))

    def forward(self, x):
        return self.gamma * x


class Gated(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.norm = nn.RMSNorm(dim, eps=2**-23)
        self.linear1 = nn.Linear(dim, 2 * hidden, bias=False)
        self.linear2 = nn.Linear(hidden, dim, bias=False)

    def forward(self, x):
        gate, value = self.linear1(self.norm(x)).chunk(2, -1)
        return self.linear2(F.silu(gate) * value)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        dim, self.heads = c["dim"], c["heads"]
        self.norm = nn.RMSNorm(dim, eps=2**-23)
        self.in_proj = nn.Linear(dim, 3 * dim, bias=False)
        self.out_proj = nn.Linear(dim, dim, bias=False)
        self.ls1, self.ls2 = Scale(dim), Scale(dim)
        self.ffn = Gated(dim, c["feedForward"])

    def project(self, x):
        """Queries, keys and values of x [R, T, D], each [R, heads, T, size]."""
        y = self.in_proj(self.norm(x))
        return y.view(*y.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x, attend, dropout):
        seen = self.out_proj(attend(*self.project(x)).transpose(1, 2).flatten(2))
        x = x + self.ls1(F.dropout(seen, dropout, dropout > 0))
        return x + self.ls2(self.ffn(x))


class Look(nn.Module):
    def __init__(self, c, channels):
        super().__init__()
        inner, self.heads = c["heads"] * c["dim"], c["heads"]
        self.to_q = nn.Linear(c["dim"], inner, bias=False)
        self.to_kv = nn.Linear(channels, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, c["dim"])

    def keys_values(self, memory):
        y = self.to_kv(memory)
        return y.view(*y.shape[:2], 2, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)

    def forward(self, x, keys_values, dropout):
        """x [R, T, D]: the words of all captions of an image are the queries of one attention."""
        images = keys_values[0].shape[0]
        q = self.to_q(x).view(images, -1, self.heads, keys_values[0].shape[-1]).transpose(1, 2)
        y = F.scaled_dot_product_attention(q, *keys_values, dropout_p=dropout)
        return self.to_out(y.transpose(1, 2).flatten(2)).view(x.shape)


class Fusion(nn.Module):
    def __init__(self, c, channels):
        super().__init__()
        self.identity, self.look = Look(c, channels), Look(c, channels)
        self.words, self.seen = Gated(c["dim"], c["feedForward"]), Gated(c["dim"], c["feedForward"])
        self.image = Gated(channels, 4 * channels)
        self.block, self.ls = Block(c), Scale(c["dim"])


class EirDecoder(nn.Module):
    """`c` has the keys of model.decoder."""

    def __init__(self, c, channels, vocabulary):
        super().__init__()
        dim = c["dim"]
        self.embedding = nn.Embedding(vocabulary, dim)
        self.before = nn.ModuleList(Block(c) for _ in range(c["layers"]))
        self.fusion = Fusion(c, channels)
        self.after = nn.ModuleList(Block(c) for _ in range(c["layers"]))
        self.norm = nn.RMSNorm(dim, eps=2**-23)
        self.output = nn.Linear(dim, vocabulary)
        self.register_buffer("places", sinusoids(c["maxTokens"], dim), persistent=False)
        for name, values in zip(["cos", "sin"], turns(c["maxTokens"], dim // c["heads"])):
            self.register_buffer(name, values, persistent=False)
        self.heads, self.scale = c["heads"], math.sqrt(dim)
        self.dropouts = {"residual": c["dropout"], "attention": c["attentionDropout"]}

    def blocks(self, x, image, attend_of):
        """`attend_of(i)` is the attention of block i."""
        p, looked = (self.dropouts[kind] if self.training else 0.0 for kind in ["residual", "attention"])
        index = 0
        for block in self.before:
            x, index = block(x, attend_of(index), p), index + 1
        f = self.fusion
        main = f.block(f.seen(f.look(f.words(x), image[1], looked)), attend_of(index), p)
        x = x + f.identity(x, image[0], looked) + f.ls(main)
        for block in self.after:
            index += 1
            x = block(x, attend_of(index), p)
        return self.norm(x)

    def image(self, memory):
        f = self.fusion
        return f.identity.keys_values(memory), f.look.keys_values(f.image(memory))

    def loss(self, memory, tokens, smoothing):
        """tokens [R, T + 1], padded; the R / B captions of an image stand side by side."""
        length = tokens.shape[1] - 1
        p, dropped = (self.dropouts[kind] if self.training else 0.0 for kind in ["residual", "attention"])
        x = F.dropout(self.embedding(tokens[:, :-1]) * self.scale + self.places[:length], p, p > 0)
        cos, sin = self.cos[:length], self.sin[:length]

        def attend(q, k, v):
            q, k = turned(q, cos, sin), turned(k, cos, sin)
            return F.scaled_dot_product_attention(q, k, v, dropout_p=dropped, is_causal=True)

        logits = self.output(self.blocks(x, self.image(memory), lambda _: attend)).flatten(0, 1)
        return F.cross_entropy(logits, tokens[:, 1:].flatten(), ignore_index=PAD, label_smoothing=smoothing)

    def start(self, memory, beams, length):
        size = self.cos.shape[1] * 2
        shape = (len(self.before) + 1 + len(self.after), 2, memory.shape[0] * beams, self.heads, length, size)
        return {"cache": memory.new_empty(shape), "image": self.image(memory)}

    def step(self, state, tokens, position):
        """Logits [R, V] after tokens [R] at `position`."""
        x = (self.embedding(tokens) * self.scale + self.places[position])[:, None]
        cos, sin = self.cos[position], self.sin[position]

        def attend_of(index):
            cache = state["cache"][index]

            def attend(q, k, v):
                cache[0, :, :, position], cache[1, :, :, position] = turned(k, cos, sin)[:, :, 0], v[:, :, 0]
                return F.scaled_dot_product_attention(turned(q, cos, sin), *cache[:, :, :, : position + 1])

            return attend

        return self.output(self.blocks(x, state["image"], attend_of))[:, 0]

    def reorder(self, state, rows, position):
        """Row r goes on from what row rows[r] has read."""
        cache = state["cache"][..., : position + 1, :]
        cache.copy_(cache.index_select(2, rows))
