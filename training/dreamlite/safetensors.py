"""Reads and writes safetensors: eight bytes of header length, a JSON header, then the tensors' bytes (huggingface.co/docs/safetensors).

A file is taken as hostile: the header must be no longer than the file, and each tensor must lie where its shape and type say, without
gaps or overlaps. Nothing is read into memory before its place was checked.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch

from training.dreamlite.errors import CheckpointError

HEADER_BYTES_MAX = 100_000_000
# Name -> (numpy type of the stored bytes). bfloat16 is the upper half of a float32; numpy has no such type.
STORED = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "F64": np.float64, "I64": np.int64, "I32": np.int32, "U8": np.uint8, "BOOL": np.bool_}


def _without_duplicates(pairs):
    keys = [key for key, _ in pairs]
    twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None) if len(keys) != len(set(keys)) else None
    if twice is not None:
        raise ValueError(f"{twice} is there twice")
    return dict(pairs)


class SafeTensors:
    """The tensors of one file, read when asked for. Errors: CheckpointError."""

    def __init__(self, path):
        self.path = Path(path)
        try:
            self._size = self.path.stat().st_size
            with self.path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if self._size < 8 or not 2 <= length <= min(self._size - 8, HEADER_BYTES_MAX):
                    self._refuse(f"its header says it has {length} bytes, and the file has {self._size}")
                header = json.loads(file.read(length).decode("utf-8"), object_pairs_hook=_without_duplicates)
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be read ({error.strerror}). Get the checkpoint anew.") from error
        except (ValueError, RecursionError) as error:
            if isinstance(error, CheckpointError):
                raise
            self._refuse(f"its header is not JSON: {error}")
        if not isinstance(header, dict):
            self._refuse("its header is not an object")
        header.pop("__metadata__", None)
        self._start = 8 + length
        self._entries = {name: self._checked(name, entry) for name, entry in header.items()}
        self._check_cover()

    def _refuse(self, reason):
        raise CheckpointError(f"{self.path} is no safetensors file that can be trusted: {reason}. Get the checkpoint anew.")

    def _checked(self, name, entry):
        try:
            kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        except (TypeError, KeyError, ValueError):
            self._refuse(f"{name} lacks its type, shape or place")
        if not isinstance(kind, str) or kind not in STORED:
            self._refuse(f"{name} is of the type {kind}, expected one of {', '.join(STORED)}")
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in (*shape, begin, end)):
            self._refuse(f"{name} has a shape or a place that is no list of numbers")
        needed = math.prod(shape) * np.dtype(STORED[kind]).itemsize
        if not begin <= end <= self._size - self._start or end - begin != needed:
            self._refuse(f"{name} is {kind} {shape}, {needed} bytes, and its place is {begin} to {end} of {self._size - self._start}")
        return kind, tuple(shape), begin

    def _check_cover(self):
        """The format has neither gaps nor overlaps."""
        at = 0
        for name, (kind, shape, begin) in sorted(self._entries.items(), key=lambda item: (item[1][2], math.prod(item[1][1]))):
            if begin != at:
                self._refuse(f"{name} begins at {begin}, and the tensor before it ends at {at}")
            at += math.prod(shape) * np.dtype(STORED[kind]).itemsize
        if at != self._size - self._start:
            self._refuse(f"its tensors end at {at}, and the file at {self._size - self._start}")

    def names(self):
        return list(self._entries)

    def shape(self, name):
        return self._entries[name][1]

    def tensor(self, name):
        """float32 of whatever floats there are; other types as they are."""
        kind, shape, begin = self._entries[name]
        count = math.prod(shape)
        stored = np.fromfile(self.path, STORED[kind], count, offset=self._start + begin).reshape(shape)
        if kind == "BF16":
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        elif kind in ("F16", "F64"):
            stored = stored.astype(np.float32)
        return torch.from_numpy(stored)


def write(path, tensors, kind="F32"):
    """Writes tensors (name -> torch) as `kind`: F32, F16 or BF16 (rounded to the nearest)."""
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        values = tensor.detach().float().contiguous()
        if kind == "BF16":
            data = values.to(torch.bfloat16).view(torch.int16).numpy().tobytes()
        else:
            data = values.numpy().astype(STORED[kind]).tobytes()
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": [at, at + len(data)]}
        blobs.append(data)
        at += len(data)
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    text += b" " * (-len(text) % 8)
    with Path(path).open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(blobs)
