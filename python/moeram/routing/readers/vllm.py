"""vLLM responses with ``routed_experts``: one response as ``.json[.gz]``, or one a line as ``.jsonl[.gz]``.

A response holds ``prompt_routed_experts`` [prompt tokens, layers with experts, top_k] and, per choice,
``routed_experts`` [generated tokens, ...]; each as nested lists, as the base64 of a ``.npy`` file, or as an object with
``encoding, dtype, shape, data``. The last generated token ran through no layer, so lists may be one shorter than the text.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.routing.chunks import DECODE, PREFILL, TokenChunk, merge, token_chunk
from moeram.routing.readers.files import json_files, read_json, text_lines
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
                yield f"{file}:{number}", parse_line(line, f"{file}:{number}")
        else:
            response = read_json(file)
            for i, entry in enumerate(response if isinstance(response, list) else [response]):
                if not isinstance(entry, dict):
                    raise TraceError(f"{file}: response {i} is no object")
                yield str(file), entry


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
    if isinstance(value, str):
        return np.load(io.BytesIO(base64.b64decode(value, validate=True)), allow_pickle=False)
    if isinstance(value, dict):
        if value["encoding"] != "base64" or value["dtype"] not in _DTYPES:
            raise ValueError(f"encoding {value['encoding']!r}, dtype {value['dtype']!r}")
        data = base64.b64decode(value["data"], validate=True)
        return np.frombuffer(data, dtype=np.dtype(value["dtype"]).newbyteorder("<")).reshape(tuple(value["shape"]))
    return np.array(value)
