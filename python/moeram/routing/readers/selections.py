"""Selection traces: one JSON file per request, ``[step, ...]`` with step = ``{layer: null or [[ids] per token]}``.

Step 0 is the prefill, every later step one decode token (layout of the MoE expert-selection trace dataset).
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from moeram.errors import TraceError
from moeram.model import MoEModel
from moeram.routing.chunks import DECODE, PREFILL, TokenChunk, token_chunk
from moeram.routing.readers.digits import numbers_of, rows_skeleton, sound
from moeram.routing.readers.files import (
    entries,
    expert_layers,
    json_files,
    parse_json,
    read_bytes,
    selections,
    unpacked,
)
from moeram.routing.readers.limits import check_size
from moeram.routing.recording import RoutingTrace
from moeram.routing.shape import TraceShape
from moeram.routing.statistics import count_selections, dominant_experts, same_expert_next
from moeram.routing.trace import TraceRouting

_DOMINANT_SHARE = 0.9
_MOST_HEADER_BYTES = 1 << 20
ARCHIVES = (".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, kw_only=True)
class Request:
    """Tokens of one request: ``prefill`` and ``decode``, int16 [tokens, layers, top_k] each, in order."""

    prefill: np.ndarray
    decode: np.ndarray


def read_selections(path: Path, model: MoEModel, seed: int = 0) -> TraceRouting:
    """Read the requests of one subject (a folder of JSON files) or of several (a folder of such folders).

    Per subject the first half of the requests ranks and the second half is held out; only decode tokens count.
    ``seed`` changes nothing.

    Raises:
        TraceError: A file is missing, malformed or does not fit ``model``, or a half holds no decode token.
    """
    subjects = read_requests(path, model)
    ranking, held_out = {}, {}
    for subject, requests in subjects.items():
        if len(requests) < 2:
            raise TraceError(f"{path}: subject {subject} has {len(requests)} request; at least 2 are needed")
        decode = [request.decode for request in requests]
        half = len(decode) // 2
        ranking[subject], held_out[subject] = np.concatenate(decode[:half]), np.concatenate(decode[half:])
    return TraceRouting(model, ranking, held_out, notes=_notes(path, model, subjects), place=str(path))


def trace_selections(path: Path, shape: TraceShape) -> RoutingTrace:
    """The same requests as a trace, of a single file, a folder, a folder of folders, or a ``.tar[.gz]`` of them.

    A topic is the folder of a request. Requests come in numeric order of their files, those of an archive as they stand
    there.

    Raises:
        TraceError: As in ``read_selections``.
    """
    files = _folder if path.is_dir() else _archive if path.name.endswith(ARCHIVES) else _single

    def read() -> Iterator[TokenChunk]:
        topics: list[str] = []
        for number, (subject, place, content) in enumerate(files(path)):
            if subject not in topics:
                topics.append(subject)
            request = _request(content, shape, place)
            prompt, decode = len(request.prefill), len(request.decode)
            order = np.arange(prompt + decode)
            yield token_chunk(
                np.concatenate([request.prefill, request.decode]),
                request=number,
                token=order,
                step=np.maximum(order - prompt + 1, 0),
                phase=np.where(order < prompt, PREFILL, DECODE),
                topic=topics.index(subject),
                topics=tuple(topics),
                place=place,
            )

    return RoutingTrace(place=str(path), format="selections", shape=shape, layers=shape.moe_layers, read=read)


def _single(path: Path) -> Iterator[tuple[str, str, bytes]]:
    yield path.resolve().parent.name or "all", str(path), read_bytes(path)


def _folder(path: Path) -> Iterator[tuple[str, str, bytes]]:
    folders = [path] if json_files(path) else [folder for folder in entries(path) if folder.is_dir()]
    for folder in folders:
        for file in json_files(folder):
            yield folder.name, str(file), read_bytes(file)


class _Member(tarfile.TarInfo):
    """An entry of an archive; one whose header alone would fill the memory is refused before it is read."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        """As ``TarInfo.frombuf``; no header at all, not even the empty one of the end, means that the rest is missing."""
        if not buf:
            raise EOFError
        entry = super().frombuf(buf, encoding, errors)
        if entry.size > _MOST_HEADER_BYTES and entry.type in _HEADERS:
            raise tarfile.StreamError(f"a header of {entry.size} bytes; at most {_MOST_HEADER_BYTES} are read")
        return entry


_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


def _archive(path: Path) -> Iterator[tuple[str, str, bytes]]:
    """Requests of an archive in its own order; nothing is unpacked to disk."""
    seen: set[str] = set()
    try:
        with tarfile.open(path, "r|*", tarinfo=_Member) as archive:
            for member in archive:
                if member.isdir() or not member.name.endswith((".json", ".json.gz")):
                    continue
                place = f"{path}:{member.name}"
                if not member.isreg():
                    raise TraceError(f"{place}: a link or device, not a file; pack the file itself")
                name = str(PurePosixPath(member.name)).removesuffix(".gz")
                if name in seen:
                    raise TraceError(f"{place}: this request stands in the archive twice")
                seen.add(name)
                check_size(member.size, place)
                content = archive.extractfile(member).read()
                if len(content) < member.size:
                    raise EOFError
                yield PurePosixPath(name).parent.name or "all", place, unpacked(content, place)
    except FileNotFoundError:
        raise TraceError(f"{path}: no such file") from None
    except EOFError:
        raise TraceError(f"{path}: the archive is truncated") from None
    except (tarfile.TarError, zlib.error, OSError) as error:
        raise TraceError(f"{path}: not a whole tar archive ({error})") from None


def read_requests(path: Path, model: MoEModel) -> dict[str, list[Request]]:
    """Requests of each subject under ``path``, in numeric order of their file names.

    Raises:
        TraceError: There is none, or a file is missing, malformed or does not fit ``model``.
    """
    if not path.is_dir():
        raise TraceError(f"{path}: selection traces are a folder of requests (or of subjects), not one file")
    folders = [path] if json_files(path) else [folder for folder in entries(path) if folder.is_dir()]
    subjects = {folder.name: [read_request(file, model) for file in json_files(folder)] for folder in folders}
    subjects = {subject: requests for subject, requests in subjects.items() if requests}
    if not subjects:
        raise TraceError(f"{path}: no .json or .json.gz file in this folder or its subfolders")
    return subjects


def read_request(path: Path, model: MoEModel) -> Request:
    """One request.

    Raises:
        TraceError: The file is missing, malformed or does not fit ``model``; the message names step and layer.
    """
    return _request(read_bytes(path), model, path)


def _request(content: bytes, model: MoEModel | TraceShape, path: Path | str) -> Request:
    return _plain(content, model) or _exact(parse_json(content, path), model, path)


def _plain(content: bytes, model: MoEModel | TraceShape) -> Request | None:
    """The request if ``content`` is as the dataset has it: in each step all layers in order, dense ones null; or None."""
    found = numbers_of(content)
    steps = 0 if found is None else found.skeleton.count(b"{")
    width, layers = len(model.moe_layers) * model.top_k, model.layers
    if not steps or (len(found.values) - steps * layers) % width:
        return None
    prompt = (len(found.values) - steps * layers) // width - (steps - 1)
    if prompt < 1 or found.skeleton != _skeleton(model, steps, prompt):
        return None
    if content.count(b"null") != steps * (layers - len(model.moe_layers)):  # a blank within, which the skeleton hides
        return None
    parts, begin = [], 0
    for count, rows in ((1, prompt), (steps - 1, 1)):
        sizes = [1 + rows * model.top_k * (layer in model.moe_layers) for layer in range(layers)]
        keys = np.cumsum(sizes) - sizes
        table = found.values[begin : begin + count * sum(sizes)].reshape(count, sum(sizes))
        ids = np.delete(table, keys, axis=1).reshape(count, len(model.moe_layers), rows, model.top_k)
        every = (begin + np.arange(count)[:, None] * sum(sizes) + keys).ravel()
        if (table[:, keys] != np.arange(layers)).any() or not found.quoted(every) or not sound(ids, model.experts):
            return None
        parts.append(
            ids.transpose(0, 2, 1, 3).reshape(count * rows, len(model.moe_layers), model.top_k).astype(np.int16)
        )
        begin += table.size
    return Request(prefill=parts[0], decode=parts[1])


def _skeleton(model: MoEModel | TraceShape, steps: int, prompt: int) -> bytes:
    first, later = (_step_skeleton(model.layers, tuple(model.moe_layers), model.top_k, rows) for rows in (prompt, 1))
    return b"[" + b",".join([first, *[later] * (steps - 1)]) + b"]"


@lru_cache(maxsize=64)
def _step_skeleton(layers: int, moe_layers: tuple[int, ...], top_k: int, rows: int) -> bytes:
    parts = [b'"":' + (rows_skeleton(rows, top_k) if layer in moe_layers else b"null") for layer in range(layers)]
    return b"{" + b",".join(parts) + b"}"


def _exact(steps: object, model: MoEModel | TraceShape, path: Path | str) -> Request:
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise TraceError(f"{path}: expected a list of steps {{layer: null or [[expert ids] per token]}}")
    if not steps:
        raise TraceError(f"{path}: no step; a request has a prefill step and one step per decode token")
    for i, step in enumerate(steps):
        keys = expert_layers(step, model, f"{path}: step {i}")
    prefill, decode = [], []
    for key in keys:
        prefill.append(selections(steps[0][key], model, lambda row, k=key: f"{path}: step 0, layer {k}, token {row}"))
        if len(prefill[-1]) != len(prefill[0]):
            raise TraceError(f"{path}: step 0: layer {key} has {len(prefill[-1])} tokens, others {len(prefill[0])}")
        rows = [_only_row(step[key], path, i, key) for i, step in enumerate(steps[1:], start=1)]
        decode.append(selections(rows, model, lambda row, k=key: f"{path}: step {row + 1}, layer {k}"))
    return Request(prefill=np.stack(prefill, axis=1), decode=np.stack(decode, axis=1))


def _only_row(rows: object, path: Path | str, step: int, layer: str) -> object:
    if not isinstance(rows, list) or len(rows) != 1:
        count = f"{len(rows)} rows" if isinstance(rows, list) else "no list of rows"
        raise TraceError(f"{path}: step {step}, layer {layer}: {count}; a decode step holds exactly one row")
    return rows[0]


def _notes(path: Path, model: MoEModel, subjects: Mapping[str, list[Request]]) -> tuple[str, ...]:
    requests = [request for group in subjects.values() for request in group]
    decode = [request.decode for request in requests]
    prefill_tokens = sum(len(request.prefill) for request in requests)
    what = (
        f"requests of {path}, subjects {', '.join(subjects)}: {len(requests)} requests, {sum(map(len, decode))} decode "
        f"tokens; the {prefill_tokens} prefill tokens are not used"
    )
    how = (
        "per subject the first half of the requests (numeric order) ranks, draws take distinct (request, step) pairs "
        "of the second half, so two tokens of a batch may come from one request"
    )
    notes = [what, how]
    if any(len(tokens) > 1 for tokens in decode):
        again = same_expert_next(decode).mean()
        notes.append(f"a decode token uses an expert of the token before it with probability {again:.3f} (layer mean)")
    if model.top_k == 1:
        usage = count_selections(np.concatenate(decode), model.experts)
        for layer, expert, share in dominant_experts(usage, _DOMINANT_SHARE):
            notes.append(
                f"layer {model.moe_layers[layer]} sends {share:.2%} of the decode tokens to expert {expert}; "
                "kept as recorded"
            )
    return tuple(notes)
