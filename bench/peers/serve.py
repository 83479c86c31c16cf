"""The PyTorch side of `npm run bench`: a process that keeps one model and answers commands, a JSON object a line, on stdin.

  {"cmd": "hello", "threads": n, "device": cpu or cuda} -> {"torch": version, "python": version, "threads": n}
  {"cmd": "open", "file": safetensors with weights and inputs, "model", "vocabulary", "frozen", "cached", "captions",
   "indices", "optimizer", "variant": of VARIANTS}   -> {"loss": of the first batch, without dropout, "parameters": n}
  {"cmd": "train", "steps": n}                       -> {"ms": [of each step]}
  {"cmd": "caption", "batch", "beams", "tokens", "calls"} -> {"ms": [of each call], "ids": of the last call}
  {"cmd": "facts"}                                   -> {"prepareSeconds", "peakBytes", "reservedBytes"} since "open"
  {"cmd": "kernel", ...}                             -> {"ms": [of each replay]}: kernels.py
"""

import contextlib
import json
import platform
import struct
import sys
import time
from collections import deque

try:
    import torch
except ImportError as error:
    print(json.dumps({"missing": str(error)}), flush=True)
    sys.exit()

from captioner import Captioner
from encoders import fold_batch_norm
from kernels import time_kernel
from running import milliseconds, runner, synchronize
from search import beam, greedy

DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "U8": torch.uint8}

# name: (bfloat16 on a GPU, mode of torch.compile, the whole step or call as one CUDA graph). Weights that are trained stay
# float32 and autocast rounds them, others are bfloat16. A graph of the whole step holds more than mode "max-autotune" puts
# into one: clipping and the optimizer, too.
VARIANTS = {
    "eager-tf32": (False, None, False),
    "eager": (True, None, False),
    "graphs": (True, None, True),
    "compile": (True, "default", False),
    "compile-max": (True, "max-autotune-no-cudagraphs", True),
}


def read_safetensors(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    view = lambda e: torch.frombuffer(
        data, dtype=DTYPES[e["dtype"]], offset=e["data_offsets"][0], count=torch.Size(e["shape"]).numel()
    ).view(e["shape"])
    return {name: view(entry) for name, entry in header.items()}


def padded(captions, length=0):
    """Begin (1), words, end (2), padding (0): [R, T + 1]; captions[image][caption] are ids."""
    rows = [[1, *ids, 2] for image in captions for ids in image]
    length = max(length, *map(len, rows))
    return torch.tensor([row + [0] * (length - len(row)) for row in rows])


class Session:
    device = torch.device("cpu")

    def hello(self, threads, device):
        torch.set_num_threads(threads)
        self.device = torch.device(device)
        if device == "cuda":
            torch.zeros(1, device=device)  # throws where there is no GPU
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")
        return {"torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads()}

    @property
    def on_gpu(self):
        return self.device.type == "cuda"

    def open(self, file, model, vocabulary, frozen, cached, captions, indices, optimizer, variant):
        half, self.mode, self.graphed = VARIANTS[variant]
        self.half = half and self.on_gpu
        self.tensors, self.shape = read_safetensors(file), (model, vocabulary)
        self.frozen, self.cached, self.options = frozen, cached, optimizer
        self.step, self.searches, self.captioner, self.next, self.prepared = None, {}, None, 0, 0.0
        if self.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        self.model = self.build().train()
        parameters = sum(p.numel() for p in self.model.parameters())
        if frozen:
            self.model.encoder = self.inference(self.build()).encoder.requires_grad_(False)
        self.place(self.model)
        self.optimizer = self.make_optimizer()
        # Compiled code and graphs are made for one size.
        length = max(len(ids) for batch in captions for image in batch for ids in image) + 2
        fixed = length if self.mode or self.graphed else 0
        self.batches = [self.kept(torch.tensor(i), padded(c, fixed)) for i, c in zip(indices, captions)]
        decoder = self.model.decoder
        dropouts, decoder.dropouts = decoder.dropouts, dict.fromkeys(decoder.dropouts, 0.0)
        with torch.no_grad(), self.precision():
            loss = float(self.loss(*(t.to(self.device) for t in self.batch(0))))
        decoder.dropouts = dropouts
        return {"loss": loss, "parameters": parameters}

    def build(self):
        model = Captioner(*self.shape)
        weights = {k: v for k, v in self.tensors.items() if k.startswith(("encoder.", "decoder."))}
        missing, unexpected = model.load_state_dict(weights, strict=False)
        unnamed = [k for k in missing if not k.endswith(("num_batches_tracked", "decoder.output.weight"))]
        assert not unnamed and not unexpected, (unnamed, unexpected)
        return model

    def inference(self, model):
        fold_batch_norm(model.eval().encoder)
        if self.half:
            model.encoder.to(torch.bfloat16)
            model.decoder.to(torch.bfloat16)
        return model

    def place(self, model):
        return model.to(self.device).to(memory_format=torch.channels_last)

    def precision(self):
        return torch.autocast("cuda", torch.bfloat16) if self.half else contextlib.nullcontext()

    def make_optimizer(self):
        tables = ["embedding.", "positions."]
        decays = lambda name, p: p.dim() > 1 and not any(table in name for table in tables)
        trained = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        groups = [
            {"params": [p for n, p in trained if decays(n, p) is yes], "weight_decay": decay}
            for yes, decay in [(True, self.options["weightDecay"]), (False, 0.0)]
        ]
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[self.options["name"]]
        return kind(groups, lr=self.options["learningRate"], fused=True, capturable=self.graphed)

    @property
    def images(self):
        return self.tensors["features" if self.cached else "pixels"]

    def kept(self, indices, tokens):
        # Pinned and put together beforehand, as a loader's workers would have it while the GPU works.
        return (self.images[indices].pin_memory(), tokens.pin_memory()) if self.on_gpu else (indices, tokens)

    def batch(self, number):
        images, tokens = self.batches[number % len(self.batches)]
        return (images, tokens) if self.on_gpu else (self.images[images], tokens)

    def memory(self, images):
        if self.cached:
            return images if self.half else images.float()
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.model.encode(images)

    def loss(self, images, tokens):
        return self.model.decoder.loss(self.memory(images), tokens, self.options["labelSmoothing"])

    def make_step(self):
        loss = torch.compile(self.loss, mode=self.mode, dynamic=False) if self.mode else self.loss

        def step(images, tokens):
            with self.precision():
                value = loss(images, tokens)
            value.backward()
            if self.options["clipNorm"] > 0:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options["clipNorm"])
            if self.options["clipValue"] > 0:
                torch.nn.utils.clip_grad_value_(self.model.parameters(), self.options["clipValue"])
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            return value.detach()

        return runner(step, self.batch(0), self.device, self.graphed)

    def queue(self):
        """Begins the next step. What it returns waits for its loss."""
        loss = self.step(*self.batch(self.next)).to("cpu", non_blocking=True)
        self.next += 1
        if not self.on_gpu:
            return lambda: None
        done = torch.cuda.Event()
        done.record()
        return lambda loss=loss: done.synchronize()

    def train(self, steps):
        """On a GPU each step is queued before the one at work has ended, as ours are."""
        if self.step is None:
            self.step = self.preparing(self.make_step)
        ahead = 1 if self.on_gpu else 0
        waiting, times, mark = deque(), [], time.perf_counter()
        for i in range(steps + ahead):
            if i < steps:
                waiting.append(self.queue())
            if i >= ahead:
                waiting.popleft()()
                now = time.perf_counter()
                times.append((now - mark) * 1000)
                mark = now
        return {"ms": times}

    def caption(self, batch, beams, tokens, calls):
        # Compiled code does not know inference mode.
        with torch.no_grad() if self.mode else torch.inference_mode():
            key = batch, beams, tokens
            if key not in self.searches:
                self.searches[key] = self.preparing(lambda: self.make_search(*key))
            search, pixels = self.searches[key]
            results = [milliseconds(lambda: search(pixels).tolist()) for _ in range(calls)]
        return {"ms": [ms for ms, _ in results], "ids": results[-1][1]}

    def make_search(self, batch, beams, tokens):
        if self.captioner is None:
            self.captioner = self.place(self.inference(self.build()))
            if self.mode:
                # Each position once as a number, then for all.
                torch._dynamo.config.recompile_limit = 64
                self.captioner.encode = torch.compile(self.captioner.encode, mode=self.mode)
                self.captioner.decoder.step = torch.compile(self.captioner.decoder.step, mode=self.mode)

        def search(pixels):
            memory = self.captioner.encode(pixels)
            decoder = self.captioner.decoder
            return greedy(decoder, memory, tokens) if beams == 1 else beam(decoder, memory, tokens, beams)

        pixels = self.tensors["pixels"][:batch]
        pixels = pixels.pin_memory() if self.on_gpu else pixels
        return runner(search, [pixels], self.device, self.graphed), pixels

    def preparing(self, make):
        """Compiling, tuning and capturing happen at the first call or before."""
        ms, made = milliseconds(make)
        self.prepared += ms / 1000
        return made

    def facts(self):
        memory = torch.cuda.max_memory_allocated() if self.on_gpu else None
        reserved = torch.cuda.max_memory_reserved() if self.on_gpu else None
        return {"prepareSeconds": self.prepared, "peakBytes": memory, "reservedBytes": reserved}

    def kernel(self, **case):
        return time_kernel(self.device, **case)


if __name__ == "__main__":
    session = Session()
    torch.manual_seed(0)
    commands = ["hello", "open", "train", "caption", "facts", "kernel"]
    for line in sys.stdin:
        command = json.loads(line)
        try:
            name = command.pop("cmd")
            assert name in commands, f"no command is called {name}"
            answer = getattr(session, name)(**command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
