"""Show, Attend and Tell's decoder as a careful PyTorch user writes it for speed: what does not depend on the step before
(attention's keys, the words' part of the gates, the classifier) is computed for all steps at once, the captions of an image
share its memory, and greedy and beam search keep the state. Parameter names are those of sgrvinod's tutorial, and ours."""

import torch
from torch import nn
from torch.nn import functional as F

PAD = 0


class Attention(nn.Module):
    def __init__(self, channels, dim, hidden):
        super().__init__()
        self.encoder_att = nn.Linear(channels, hidden)
        self.decoder_att = nn.Linear(dim, hidden)
        self.full_att = nn.Linear(hidden, 1)

    def forward(self, memory, keys, h):
        """memory [B, S, F], keys [B, S, A], h [R, D], R a multiple of B -> context [R, F], shares [R, S]."""
        images = memory.shape[0]
        query = self.decoder_att(h).view(images, -1, 1, keys.shape[-1])
        scores = self.full_att(F.relu(keys[:, None] + query)).squeeze(-1)
        shares = scores.softmax(-1)
        return torch.bmm(shares, memory).flatten(0, 1), shares.flatten(0, 1)


class LstmDecoder(nn.Module):
    """`c` has the keys of model.decoder."""

    def __init__(self, c, channels, vocabulary):
        super().__init__()
        dim, size = c["dim"], c["embeddingDim"]
        self.attention = Attention(channels, dim, c["attentionDim"])
        self.embedding = nn.Embedding(vocabulary, size)
        self.decode_step = nn.LSTMCell(size + channels, dim)
        self.init_h, self.init_c = nn.Linear(channels, dim), nn.Linear(channels, dim)
        self.f_beta = nn.Linear(dim, channels)
        self.fc = nn.Linear(dim, vocabulary)
        self.size, self.side, self.penalty = size, c.get("memorySide"), c["attentionPenalty"]
        self.dropouts = {"output": c["outputDropout"]}

    def resampled(self, memory):
        """[B, S, F] with the map's cells averaged to side x side."""
        images, cells, channels = memory.shape
        side = round(cells**0.5)
        if self.side in (None, side):
            return memory
        grid = memory.view(images, side, side, channels).permute(0, 3, 1, 2)
        return F.adaptive_avg_pool2d(grid, self.side).flatten(2).transpose(1, 2).contiguous()

    def begin(self, memory, captions):
        memory = self.resampled(memory)
        mean = memory.mean(1)
        h, c = (part(mean).repeat_interleave(captions, 0) for part in [self.init_h, self.init_c])
        return memory, self.attention.encoder_att(memory), h, c

    def cell(self, memory, keys, words, h, c):
        """`words` [R, 4 D] is the words' part of the gates."""
        context, shares = self.attention(memory, keys, h)
        gated = torch.sigmoid(self.f_beta(h)) * context
        p = self.decode_step
        gates = words + F.linear(gated, p.weight_ih[:, self.size :]) + F.linear(h, p.weight_hh, p.bias_hh)
        i, f, g, o = gates.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c, shares

    def words(self, tokens):
        p = self.decode_step
        return F.linear(self.embedding(tokens), p.weight_ih[:, : self.size], p.bias_ih)

    def loss(self, memory, tokens, smoothing):
        """tokens [R, T + 1], padded; the R / B captions of an image stand side by side."""
        targets = tokens[:, 1:]
        memory, keys, h, c = self.begin(memory, tokens.shape[0] // memory.shape[0])
        words = self.words(tokens[:, :-1]).transpose(0, 1)
        hidden, looked = [], []
        for step in range(targets.shape[1]):
            h, c, shares = self.cell(memory, keys, words[step], h, c)
            hidden.append(h)
            looked.append(shares)
        p = self.dropouts["output"]
        logits = self.fc(F.dropout(torch.stack(hidden, 1), p, self.training and p > 0))
        loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD, label_smoothing=smoothing)
        seen = (torch.stack(looked, 1) * (targets != PAD)[..., None]).sum(1)
        return loss + self.penalty * ((1 - seen) ** 2).mean()

    def start(self, memory, beams, length):
        memory, keys, h, c = self.begin(memory, beams)
        return {"memory": memory, "keys": keys, "h": h, "c": c}

    def step(self, state, tokens, position):
        """Logits [R, V] after tokens [R] at `position`."""
        words = self.words(tokens)
        state["h"], state["c"], _ = self.cell(state["memory"], state["keys"], words, state["h"], state["c"])
        return self.fc(state["h"])

    def reorder(self, state, rows, position):
        """Row r goes on from what row rows[r] has read."""
        for name in ["h", "c"]:
            state[name] = state[name].index_select(0, rows)
