"""Weights in the safetensors format: a length, a JSON header, raw numbers. Nothing is ever unpickled.

The format is that of Hugging Face (version 0.x): eight bytes with the length of the header, a JSON object from names to
dtype, shape and byte range, then the bytes of all tensors without gaps.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradlaws.errors import InputError

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_LONGEST_HEADER = 100_000_000


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name, and the metadata of a file.

    Raises:
        InputError: there is no such file, or it is not in the format.
    """
    try:
        data = bytearray(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, _LONGEST_HEADER):
        raise InputError(f"{path} is not a safetensors file: its header does not fit into it")
    try:
        header = json.loads(data[8 : 8 + length].decode())
        metadata = dict(header.pop("__metadata__", {}))
        body = memoryview(data)[8 + length :]
        return {name: _tensor(body, entry) for name, entry in header.items()}, metadata
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a safetensors file: {error}") from None


def _tensor(body: memoryview, entry: dict[str, Any]) -> Tensor:
    if entry["dtype"] not in _DTYPES:
        raise ValueError(f"unknown number type {entry['dtype']!r}")
    dtype, shape = _DTYPES[entry["dtype"]], [int(n) for n in entry["shape"]]
    start, stop = (int(n) for n in entry["data_offsets"])
    if min(shape, default=0) < 0 or not 0 <= start <= stop <= len(body):
        raise ValueError("a tensor lies outside the file")
    if stop - start != prod(shape) * dtype.itemsize:
        raise ValueError(f"a tensor of shape {shape} does not have {stop - start} bytes")
    if start == stop:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(body[start:stop], dtype=dtype).reshape(shape).clone()


def write_weights(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a file whole or not at all: a new one takes the place of the old one when it is complete.

    Raises:
        InputError: the file cannot be written, or a tensor has numbers that the format does not know.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for name, x in tensors.items():
        if x.dtype not in _NAMES:
            raise InputError(f"{name} holds {x.dtype}: the safetensors format does not know it")
        stop = start + x.numel() * x.element_size()
        header[name] = {"dtype": _NAMES[x.dtype], "shape": list(x.shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
            try:
                file.write(len(text).to_bytes(8, "little") + text)
                for x in tensors.values():
                    file.write(x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
                file.flush()
                os.fsync(file.fileno())
                os.chmod(file.name, 0o644)
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
