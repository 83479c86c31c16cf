"""The PyTorch side of `npm run bench`: a process that keeps one model and answers commands, a JSON object a line, on stdin.

  {"cmd": "hello", "threads": n}                     -> {"torch": version, "python": version, "threads": n}
  {"cmd": "open", "file": safetensors with weights and inputs, "model", "vocabulary", "frozen", "cached", "captions",
   "indices", "optimizer"}                           -> {"loss": of the first batch, without dropout, "parameters": n}
  {"cmd": "train", "steps": n}                       -> {"ms": [of each step]}
  {"cmd": "caption", "batch", "beams", "tokens", "calls"} -> {"ms": [of each call], "ids": of the last call}
"""

import copy
import json
import platform
import struct
import sys
import time

import torch
from captioner import Captioner
from encoders import fold_batch_norm
from search import beam, greedy

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "U8": torch.uint8}


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    view = lambda e: torch.frombuffer(
        data, dtype=DTYPES[e["dtype"]], offset=e["data_offsets"][0], count=torch.Size(e["shape"]).numel()
    ).view(e["shape"])
    return {name: view(entry) for name, entry in header.items()}


def padded(captions):
    """Begin (1), words, end (2), padding (0): [R, T + 1]; captions[image][caption] are ids."""
    rows = [[1, *ids, 2] for image in captions for ids in image]
    length = max(map(len, rows))
    return torch.tensor([row + [0] * (length - len(row)) for row in rows])


class Session:
    def open(self, file, model, vocabulary, frozen, cached, captions, indices, optimizer):
        tensors = read_safetensors(file)
        self.model = Captioner(model, vocabulary)
        weights = {k: v for k, v in tensors.items() if k.startswith(("encoder.", "decoder."))}
        missing, unexpected = self.model.load_state_dict(weights, strict=False)
        unnamed = [k for k in missing if not k.endswith(("num_batches_tracked", "decoder.output.weight"))]
        assert not unnamed and not unexpected, (unnamed, unexpected)
        parameters = sum(p.numel() for p in self.model.parameters())
        self.model.to(memory_format=torch.channels_last).train()
        # For captioning, whatever training does to the weights: the time does not depend on them.
        self.captioner = copy.deepcopy(self.model).eval()
        fold_batch_norm(self.captioner.encoder)
        if frozen:
            self.model.encoder = self.captioner.encoder.requires_grad_(False)
        self.pixels, self.features = tensors["pixels"], tensors.get("features")
        self.frozen, self.cached, self.options = frozen, cached, optimizer
        self.batches = [(torch.tensor(i), padded(c)) for i, c in zip(indices, captions)]
        self.next = 0
        self.optimizer = self.make_optimizer()
        decoder = self.model.decoder
        with_dropout = decoder.dropout, decoder.attention_dropout
        decoder.dropout = decoder.attention_dropout = 0.0
        with torch.no_grad():
            loss = float(self.loss(*self.batches[0]))
        decoder.dropout, decoder.attention_dropout = with_dropout
        return {"loss": loss, "parameters": parameters}

    def make_optimizer(self):
        tables = ["embedding.", "positions."]
        decays = lambda name, p: p.dim() > 1 and not any(table in name for table in tables)
        trained = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        groups = [
            {"params": [p for n, p in trained if decays(n, p) is yes], "weight_decay": decay}
            for yes, decay in [(True, self.options["weightDecay"]), (False, 0.0)]
        ]
        return torch.optim.AdamW(groups, lr=self.options["learningRate"], fused=True)

    def memory(self, indices):
        if self.cached:
            return self.features[indices].float()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.model.encode(self.pixels[indices])

    def loss(self, indices, tokens):
        return self.model.decoder.loss(self.memory(indices), tokens, self.options["labelSmoothing"])

    def step(self):
        loss = self.loss(*self.batches[self.next % len(self.batches)])
        self.next += 1
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options["clipNorm"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss)

    def train(self, steps):
        return {"ms": [milliseconds(self.step)[0] for _ in range(steps)]}

    @torch.inference_mode()
    def caption(self, batch, beams, tokens, calls):
        def call():
            memory = self.captioner.encode(self.pixels[:batch])
            decoder = self.captioner.decoder
            ids = greedy(decoder, memory, tokens) if beams == 1 else beam(decoder, memory, tokens, beams)
            return ids.tolist()

        results = [milliseconds(call) for _ in range(calls)]
        return {"ms": [ms for ms, _ in results], "ids": results[-1][1]}


def milliseconds(work):
    start = time.perf_counter()
    result = work()
    return (time.perf_counter() - start) * 1000, result


def hello(threads):
    torch.set_num_threads(threads)
    return {"torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads()}


if __name__ == "__main__":
    session = Session()
    torch.manual_seed(0)
    commands = {"hello": hello, "open": session.open, "train": session.train, "caption": session.caption}
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = commands[command.pop("cmd")](**command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
