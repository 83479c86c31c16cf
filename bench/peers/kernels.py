"""PyTorch's counterparts of single kernels. Each builder makes random data and gives a function that does the work once:
`part` is "forward", the gradient of one input ("x", "weight"), or "both", forward and all gradients."""

import contextlib
import json

import torch
from running import capture, milliseconds, synchronize
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel


class Maker:
    """Random tensors on a device, in its dtype for activations and matrices."""

    def __init__(self, device):
        self.device = device
        self.dtype = torch.bfloat16 if device.type == "cuda" else torch.float32

    def random(self, *shape, dtype=None, grad=False):
        return torch.randn(shape, device=self.device).to(dtype or self.dtype).requires_grad_(grad)

    def image(self, *shape, grad=False):
        """[B, C, H, W], NHWC in memory."""
        values = self.random(*shape).contiguous(memory_format=torch.channels_last)
        return values.requires_grad_(grad)

    def ids(self, count, below):
        return torch.randint(below, (count,), device=self.device)


def gradients(forward, inputs, dout):
    return lambda: torch.autograd.grad(forward(), inputs, dout)


def copy(make, elements):
    x, y = make.random(elements), make.random(elements)
    return lambda: y.copy_(x)


def linear(make, rows, inputs, outputs, gelu, part):
    x, weight, bias = make.random(rows, inputs), make.random(outputs, inputs), make.random(outputs)
    dout = make.random(rows, outputs)
    if part == "x":
        return lambda: dout @ weight
    if part == "weight":
        return lambda: dout.t() @ x
    if gelu:
        return lambda: F.gelu(F.linear(x, weight, bias))
    return lambda: F.linear(x, weight, bias)


def convolution(make, images, size, inputs, outputs, window, stride, groups, part):
    x, weight = make.image(images, inputs, size, size), make.image(outputs, inputs // groups, window, window)
    pad = window // 2
    forward = lambda: F.conv2d(x, weight, None, stride, pad, 1, groups)
    if part == "forward":
        return forward
    dout, wanted = torch.randn_like(forward()), [part == "x", part == "weight", False]
    ends = [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], groups
    return lambda: torch.ops.aten.convolution_backward(dout, x, weight, None, *ends, wanted)


def convolution_batch_norm(make, images, size, inputs, outputs, window, stride, groups, part):
    """Then relu."""
    x, weight = (
        make.image(images, inputs, size, size, grad=True),
        make.image(outputs, inputs // groups, window, window, grad=True),
    )
    gamma, beta = (make.random(outputs, dtype=torch.float32, grad=True) for _ in range(2))
    mean, variance = torch.zeros(outputs, device=make.device), torch.ones(outputs, device=make.device)

    def forward():
        y = F.conv2d(x, weight, None, stride, window // 2, 1, groups)
        return F.relu(F.batch_norm(y, mean, variance, gamma, beta, True), inplace=True)

    if part == "forward":
        return torch.no_grad()(forward)
    return gradients(forward, (x, weight, gamma, beta), torch.randn_like(forward()))


def layer_norm(make, rows, dim, part):
    x = make.random(rows, dim, grad=True)
    weight, bias = (make.random(dim, grad=True) for _ in range(2))
    forward = lambda: F.layer_norm(x, (dim,), weight, bias)
    if part == "forward":
        return torch.no_grad()(forward)
    return gradients(forward, (x, weight, bias), make.random(rows, dim))


def attention(make, rows, rowsPerKey, heads, queries, keys, size, causal, part, backend=None):
    # The captions of an image look at its keys as one longer row of queries.
    groups, length = rows // rowsPerKey, queries * rowsPerKey
    q = make.random(groups, heads, length, size, grad=True)
    k, v = (make.random(groups, heads, keys, size, grad=True) for _ in range(2))
    chosen = lambda: sdpa_kernel(getattr(SDPBackend, backend)) if backend else contextlib.nullcontext()

    def forward():
        with chosen():
            return F.scaled_dot_product_attention(q, k, v, is_causal=causal)

    if part == "forward":
        return torch.no_grad()(forward)
    return gradients(forward, (q, k, v), make.random(groups, heads, length, size))


def cross_entropy(make, tokens, dim, vocabulary):
    """The vocabulary layer and its loss, forward and all gradients."""
    x, weight = make.random(tokens, dim, grad=True), make.random(vocabulary, dim, grad=True)
    bias, targets = make.random(vocabulary, grad=True), make.ids(tokens, vocabulary)
    forward = lambda: F.cross_entropy(F.linear(x, weight, bias).float(), targets, label_smoothing=0.1)
    return gradients(forward, (x, weight, bias), None)


def adamw(make, parameters):
    tensors = [make.random(parameters // 32, dtype=torch.float32, grad=True) for _ in range(32)]
    for t in tensors:
        t.grad = torch.randn_like(t)
    return torch.optim.AdamW(tensors, lr=1e-4, fused=True, capturable=make.device.type == "cuda").step


BUILDERS = {
    "copy": copy,
    "linear": linear,
    "convolution": convolution,
    "convolutionBatchNorm": convolution_batch_norm,
    "layerNorm": layer_norm,
    "attention": attention,
    "crossEntropy": cross_entropy,
    "adamw": adamw,
}
BACKENDS = ["FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION"]


def timer(device, work, calls):
    """Milliseconds of `replays` times `calls` calls, on a GPU as a graph: launching takes no time in it."""

    def all_calls():
        for _ in range(calls):
            work()

    run = capture(all_calls) if device.type == "cuda" else all_calls

    def measure(replays):
        synchronize(device)

        def work_all():
            for _ in range(replays):
                run()
            synchronize(device)

        return milliseconds(work_all)[0] / replays

    measure(1)
    return measure


def fastest(device, op, calls, options):
    """The timer of an op; of attention's on a GPU that with the fastest backend, and its name."""
    build = lambda **more: timer(device, BUILDERS[op](Maker(device), **options, **more), calls)
    if op != "attention" or device.type != "cuda":
        return build(), None
    found = []
    for backend in BACKENDS:
        try:
            measure = build(backend=backend)
            found.append((measure(3), backend, measure))
        except Exception:  # not for this size
            torch.cuda.synchronize()
    _, backend, measure = min(found, key=lambda entry: entry[0])
    return measure, backend


known = {}


def time_kernel(device, op, calls, replays, options):
    """Milliseconds of one replay of `calls` calls, over `replays`; the data and the graph of the last op are kept."""
    key = json.dumps([op, calls, options])
    if key not in known:
        known.clear()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        known[key] = fastest(device, op, calls, options)
    measure, backend = known[key]
    return {"ms": [measure(replays)], "backend": backend}
