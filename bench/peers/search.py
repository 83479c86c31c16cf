"""Greedy and beam search over a fixed number of steps: ends of captions are forbidden, so that the work is the same in
every run and on both sides. Specials are ids 0 to 3."""

import torch

BOS, SPECIALS = 1, 4


def greedy(decoder, memory, length):
    """Ids [B, length]."""
    state = decoder.start(memory, 1, length)
    tokens = torch.full((memory.shape[0],), BOS, device=memory.device)
    found = []
    for position in range(length):
        logits = decoder.step(state, tokens, position).float()
        logits[:, :SPECIALS] = float("-inf")
        tokens = logits.argmax(-1)
        found.append(tokens)
    return torch.stack(found, 1)


def beam(decoder, memory, length, width):
    """Ids [B, length] of the best beam of each image, by summed log-probability."""
    images = memory.shape[0]
    state = decoder.start(memory, width, length)
    scores = torch.full((images, width), float("-inf"), device=memory.device)
    scores[:, 0] = 0
    tokens = torch.full((images * width,), BOS, device=memory.device)
    found = torch.zeros((images * width, length), dtype=torch.long, device=memory.device)
    first = torch.arange(0, images * width, width, device=memory.device)[:, None]
    for position in range(length):
        logits = decoder.step(state, tokens, position).float()
        total = logits.logsumexp(-1, keepdim=True)
        logits[:, :SPECIALS] = float("-inf")
        # The best of all follow among the best of each beam.
        best, words = logits.topk(width, -1)
        best = (best - total).view(images, width, width) + scores[..., None]
        scores, chosen = best.flatten(1).topk(width, -1)
        rows = (first + chosen // width).flatten()
        tokens = words.view(images, -1).gather(1, chosen).flatten()
        found = found[rows]
        found[:, position] = tokens
        decoder.reorder(state, rows, position)
    return found.view(images, width, length)[:, 0]
