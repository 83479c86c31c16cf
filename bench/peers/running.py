"""How work is run and timed: with its inputs on the host, eagerly or as one CUDA graph."""

import time

import torch


def milliseconds(work):
    start = time.perf_counter()
    result = work()
    return (time.perf_counter() - start) * 1000, result


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def capture(work):
    """`work` as one CUDA graph; runs it a few times before, on a stream of its own, so that all it needs is there."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay():
        graph.replay()
        return result

    return replay


def runner(work, example, device, graphed):
    """`work` for host tensors of the sizes of `example`, which go to the device first; has been run when this returns."""
    if graphed:
        inputs = [t.to(device) for t in example]
        replay = capture(lambda: work(*inputs))

        def run(*given):
            for place, values in zip(inputs, given):
                place.copy_(values, non_blocking=True)
            return replay()

    else:

        def run(*given):
            return work(*(t.to(device, non_blocking=True) for t in given))

    run(*example)
    synchronize(device)
    return run
