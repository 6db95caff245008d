"""vLLM responses with ``routed_experts``: one response as ``.json[.gz]``, or one a line as ``.jsonl[.gz]``.

A response holds ``prompt_routed_experts`` [prompt tokens, layers with experts, top_k] and, per choice,
``routed_experts`` [generated tokens, ...]; each as nested lists, as the base64 of a ``.npy`` file, or as an object with
``encoding, dtype, shape, data``. The last generated token ran through no layer, so lists may be one shorter than the text.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.routing.chunks import DECODE, PREFILL, TokenChunk, merge, token_chunk
from moeram.routing.readers.digits import numbers_of, rows_skeleton
from moeram.routing.readers.files import json_files, parse_json, read_bytes, text_lines
from moeram.routing.readers.json_lines import line_files, parse_line
from moeram.routing.recording import RoutingTrace, covered_layers
from moeram.routing.shape import TraceShape

_DTYPES = {"int16", "int32", "int64", "uint8", "uint16"}


def trace_vllm(path: Path, shape: TraceShape) -> RoutingTrace:
    """Responses of a file, or of all JSON files of a folder; every choice of a response is a request of its own.

    Raises:
        TraceError: A response is malformed or does not fit ``shape``.
    """

    def read() -> Iterator[TokenChunk]:
        request = 0
        for place, response in _responses(path):
            for chunk in _requests(response, shape, place, request):
                request += 1
                yield chunk

    return RoutingTrace(place=str(path), format="vllm", shape=shape, layers=shape.moe_layers, read=read)


def _responses(path: Path) -> Iterator[tuple[str, dict]]:
    if path.is_dir():
        files = json_files(path) or line_files(path)
    else:
        files = [path]
    for file in files:
        if file.name.endswith((".jsonl", ".jsonl.gz")):
            for number, line in text_lines(file):
                place = f"{file}:{number}"
                yield place, _parsed(line, lambda text, place=place: parse_line(text, place))
        else:
            response = _parsed(read_bytes(file), lambda text, file=file: parse_json(text, file))
            for i, entry in enumerate(response if isinstance(response, list) else [response]):
                if not isinstance(entry, dict):
                    raise TraceError(f"{file}: response {i} is no object")
                yield str(file), entry


def _parsed(text: bytes, parse: Callable[[bytes], object]) -> object:
    """``text`` parsed, its plain lists of ids as arrays: they are taken out first, and come back by their number."""
    if _BARE_NUMBER.search(text):
        return parse(text)
    arrays: list[np.ndarray] = []

    def take(found: re.Match) -> bytes:
        array = _plain(found[2])
        if array is None:
            return found[0]
        arrays.append(array)
        return b"%s%d " % (found[1], len(arrays) - 1)  # the space: what follows must not become part of the number

    short = _LISTS.sub(take, text)
    if not arrays:
        return parse(text)
    try:
        parsed = parse(short)
    except TraceError:
        parse(text)  # for the place in the whole text
        raise
    return _with_arrays(parsed, arrays)


def _with_arrays(value: object, arrays: list[np.ndarray]) -> object:
    if isinstance(value, list):
        return [_with_arrays(entry, arrays) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        key: arrays[entry] if key in _NAMES and type(entry) is int else _with_arrays(entry, arrays)
        for key, entry in value.items()
    }


def _plain(text: bytes) -> np.ndarray | None:
    """A list [tokens, layers, top_k] of plain numbers as an array; None if it is another thing."""
    found = numbers_of(text)
    if found is None:
        return None
    row = found.skeleton[2 : found.skeleton.find(b"]") + 1]
    top_k = row.count(b",") + 1
    lists = len(found.values) // top_k  # [layers, top_k] lists, all in all
    tokens = found.skeleton.count(b"[") - 1 - lists
    layers = lists // max(tokens, 1)
    wanted = b"[" + b",".join([rows_skeleton(layers, top_k)] * tokens) + b"]"
    if tokens * layers * top_k != len(found.values) or found.skeleton != wanted:
        return None
    return found.values.reshape(tokens, layers, top_k)


_NAMES = ("prompt_routed_experts", "routed_experts")
_KEY = rb'((?<!\\)"(?:prompt_)?routed_experts"\s*:\s*)'
_LISTS = re.compile(_KEY + rb"(\[\s*\[\s*\[[\[\]0-9,\s]*\])")
_BARE_NUMBER = re.compile(_KEY + rb"[-0-9]")


def _requests(response: dict, shape: TraceShape, place: str, request: int) -> Iterator[TokenChunk]:
    name = "prompt_routed_experts"
    prompt = _array(response.get(name), shape, f"{place}: {name}")
    choices = response.get("choices", [response] if "routed_experts" in response else [])
    if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
        raise TraceError(f"{place}: choices is no list of objects")
    generated = [
        _array(choice.get("routed_experts"), shape, f"{place}: choice {i}: routed_experts")
        for i, choice in enumerate(choices)
    ]
    if prompt is None and all(experts is None for experts in generated):
        raise TraceError(
            f"{place}: neither prompt_routed_experts nor routed_experts; start vLLM with --enable-return-routed-experts"
        )
    for number, experts in enumerate(generated or [None], start=request):
        pieces, before = [], 0
        if prompt is not None:
            pieces.append(token_chunk(prompt, request=number, phase=PREFILL, step=0, place=f"{place}: {name}"))
            before = len(prompt)
        if experts is not None and len(experts):
            order = np.arange(len(experts))
            phase = {"phase": DECODE, "step": order + 1} if prompt is not None else {}
            pieces.append(token_chunk(experts, request=number, token=order + before, place=place, **phase))
        if pieces:
            yield merge(pieces)


def _array(value: object, shape: TraceShape, place: str) -> np.ndarray | None:
    if value is None:
        return None
    try:
        array = _decoded(value)
    except (ValueError, TypeError, KeyError, EOFError, OSError, OverflowError, SyntaxError, binascii.Error) as error:
        raise TraceError(f"{place}: no array of expert ids ({error})") from None
    if array.size == 0:
        return None
    if array.ndim != 3 or array.dtype.kind not in "iu":
        raise TraceError(
            f"{place}: shape {array.shape} of {array.dtype}; whole numbers [tokens, layers, top_k] are needed"
        )
    _, rows = covered_layers(array.shape[1], shape, place)
    if array.shape[2] != shape.top_k:
        raise TraceError(f"{place}: {array.shape[2]} experts a token, but {shape.name} uses {shape.top_k}")
    array = array[:, rows]
    if array.min() < 0 or array.max() >= shape.experts:
        wrong = (array < 0) | (array >= shape.experts)
        token, layer, slot = np.argwhere(wrong)[0]
        raise TraceError(
            f"{place}: token {token}, layer {shape.moe_layers[layer]}: expert {array[token, layer, slot]} is out of range; "
            f"{shape.name} has experts 0..{shape.experts - 1}"
        )
    return array.astype(np.int16)


def _decoded(value: object) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, str):
        return np.load(io.BytesIO(base64.b64decode(value, validate=True)), allow_pickle=False)
    if isinstance(value, dict):
        if value["encoding"] != "base64" or value["dtype"] not in _DTYPES:
            raise ValueError(f"encoding {value['encoding']!r}, dtype {value['dtype']!r}")
        data = base64.b64decode(value["data"], validate=True)
        return np.frombuffer(data, dtype=np.dtype(value["dtype"]).newbyteorder("<")).reshape(tuple(value["shape"]))
    return np.array(value)
