"""The six graphs as a PyTorch pipeline, to compare onnxruntime with: compiled where torch can, with the encoder on a stream of its own.

    python3 -m training.dreamlite.pipeline [--tenth] [--size 512x512] [--batches 1,2,4,8,16] [--runs 10] [--eager]

Weights are random. On a GPU they are bfloat16 under autocast, on a CPU fp32. Prints JSON: milliseconds of each stage and batch, frames a
second of the whole with the encoder of batch n + 1 beside the denoiser of batch n (two CUDA streams, as arXiv 2606.05981 does it), memory.
It needs torch alone: 1.13 runs it, 2.x compiles it.
"""

import argparse
import contextlib
import json
import resource
import statistics
import sys
import tempfile
import time

import torch
from torch import nn

from training.dreamlite.graphs import Graphs
from training.dreamlite.parts import run
from training.dreamlite.random_model import RandomNetworks

PROMPT = "transfer this to oil painting style, vibrant colors"
STAGES = {"te": ("te_vision", "te_text"), "vaeEncode": ("vae_encoder",), "cond": ("lllite_cond",), "unet": ("unet",), "vaeDecode": ("vae_decoder",)}
SIDE, MAIN = ("te", "vaeEncode"), ("unet", "vaeDecode")
PIPELINED_BATCHES = 12  # of which the first two fill the line
MIB = 2**20


class Role(nn.Module):
    """The parts of one graph as a module: tensors in the order of its inputs -> tensors in the order of its outputs."""

    def __init__(self, parts, tensors):
        super().__init__()
        self.parts, self.own = parts, nn.ModuleList([part.module for part in parts])
        self.inputs, self.outputs = ([name for name, _, _ in own] for own in tensors)

    def forward(self, *given):
        values = run(self.parts, dict(zip(self.inputs, given)))
        return tuple(values[name] for name in self.outputs)


class Device:
    """What differs between a GPU and a CPU: streams, waiting, memory."""

    def __init__(self):
        self.is_gpu = torch.cuda.is_available()
        self.name = torch.cuda.get_device_name() if self.is_gpu else "cpu"
        self.where = "cuda" if self.is_gpu else "cpu"
        self.dtype = torch.bfloat16 if self.is_gpu else torch.float32

    def autocast(self):
        return torch.autocast("cuda", dtype=self.dtype) if self.is_gpu else contextlib.nullcontext()

    def wait(self):
        if self.is_gpu:
            torch.cuda.synchronize()

    def memory_mib(self):
        """The most that was in use so far: of the GPU, or of the process."""
        return torch.cuda.max_memory_allocated() / MIB if self.is_gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Pipeline:
    """The roles on a device, and inputs for a batch of any size."""

    def __init__(self, device, size, is_tenth=False, compiled=True, seed=0):
        with tempfile.TemporaryDirectory() as folder:
            networks = RandomNetworks(folder, is_tenth, seed)
        ids, _ = networks.checkpoint.tokenizer.padded(PROMPT)
        self.graphs = Graphs(networks.unet, networks.vae, networks.text_encoder, networks.adapter, ids, size)
        self.device = device
        self.roles = {}
        for role, parts in self.graphs.parts.items():
            module = Role(parts, self.graphs.tensors[role]).eval().to(device.where, device.dtype)
            self.roles[role] = torch.compile(module, dynamic=False) if compiled else module

    def inputs(self, role, batch):
        return [tensor.to(self.device.where) for tensor in self.graphs.example(role, batch)]

    def run(self, role, inputs):
        with torch.no_grad(), self.device.autocast():
            return self.roles[role](*inputs)


def stage_ms(pipeline, batch, runs):
    """Median milliseconds of each stage by itself."""
    found = {}
    for stage, roles in STAGES.items():
        given = {role: pipeline.inputs(role, batch) for role in roles}
        times = []
        for attempt in range(runs + 2):  # the first two compile, and measure kernels
            pipeline.device.wait()
            start = time.perf_counter()
            for role in roles:
                pipeline.run(role, given[role])
            pipeline.device.wait()
            if attempt >= 2:
                times.append(1000 * (time.perf_counter() - start))
        found[f"{stage}Ms"] = statistics.median(times)
    return found


def pipelined_fps(pipeline, batch, count=PIPELINED_BATCHES):
    """Frames a second, the encoder one batch ahead on a stream of its own; one after the other where there are no streams."""
    device = pipeline.device
    given = {role: pipeline.inputs(role, batch) for role in pipeline.roles}
    side, main = ((torch.cuda.Stream(), torch.cuda.Stream(priority=-1)) if device.is_gpu else (None, None))
    on = lambda stream: torch.cuda.stream(stream) if stream else contextlib.nullcontext()

    def encode():
        with on(side):
            features = pipeline.run("te_vision", given["te_vision"])
            (prompt,) = pipeline.run("te_text", [*given["te_text"][:2], *features])
            (latents,) = pipeline.run("vae_encoder", given["vae_encoder"])
            done = torch.cuda.Event() if side else None
            if side:
                done.record(side)
        return prompt, latents, done

    def denoise(encoded):
        prompt, latents, done = encoded
        with on(main):
            if main:
                main.wait_event(done)
                for tensor in (prompt, latents):
                    tensor.record_stream(main)
            sample, timestep, _, mask, _, *rest = given["unet"]
            (velocity,) = pipeline.run("unet", [sample, timestep, prompt, mask, latents, *rest])
            (painting,) = pipeline.run("vae_decoder", [sample - velocity])
            return painting.to("cpu")  # waits for this stream alone

    device.wait()
    ahead, stamps = encode(), []
    for _ in range(count):
        following = encode()
        denoise(ahead)
        stamps.append(time.perf_counter())
        ahead = following
    device.wait()
    return batch * (len(stamps) - 2) / (stamps[-1] - stamps[1])


def measure(device, size, batches, runs, is_tenth=False, compiled=True):
    pipeline = Pipeline(device, size, is_tenth, compiled)
    rows = []
    for batch in batches:
        try:
            times = stage_ms(pipeline, batch, runs)
            law = max(sum(times[f"{stage}Ms"] for stage in stream) for stream in (SIDE, MAIN))
            rows.append({"batch": batch, **times, "lawFps": 1000 * batch / law, "fps": pipelined_fps(pipeline, batch), "memoryMiB": device.memory_mib()})
        except RuntimeError as error:  # torch.cuda.OutOfMemoryError is one
            if "out of memory" not in str(error):
                raise
            rows.append({"batch": batch, "noRoom": True})
            torch.cuda.empty_cache()
    return rows


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenth", action="store_true", help="a tenth of every width")
    parser.add_argument("--size", default="512x512", help="painted size")
    parser.add_argument("--batches", default="1,2,4,8,16")
    parser.add_argument("--runs", type=int, default=10, help="of each stage, for the median")
    parser.add_argument("--eager", action="store_true", help="without torch.compile")
    args = parser.parse_args(arguments)
    device = Device()
    compiled = not args.eager and hasattr(torch, "compile") and device.is_gpu
    size = tuple(int(side) for side in args.size.split("x"))
    batches = [int(batch) for batch in args.batches.split(",")]
    rows = measure(device, size, batches, args.runs, args.tenth, compiled)
    facts = {"torch": torch.__version__, "device": device.name, "dtype": str(device.dtype), "compiled": compiled, "streams": device.is_gpu}
    print(json.dumps({**facts, "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
