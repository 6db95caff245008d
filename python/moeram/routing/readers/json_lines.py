"""JSON lines, one per token and layer: ``req_id, token_idx, layer, topk_ids, topk_weights`` (``.jsonl[.gz]``).

Lines of another ``type`` than "route" are skipped, except that a "meta" line may name the model, top_k and the layers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from moeram.errors import TraceError
from moeram.routing.chunks import TokenChunk, token_chunk
from moeram.routing.readers.files import RepeatedKeyError, entries, line_blocks, lines_of, unique_keys
from moeram.routing.readers.line_columns import LineColumns, columns_of
from moeram.routing.recording import RoutingTrace
from moeram.routing.shape import TraceShape

_STARTS_OVER = (
    "token_idx starts over within a request: it counts the tokens of a forward pass, so each pass is taken as a request of "
    "its own"
)
_KEYS = ("req_id", "token_idx", "layer", "topk_ids")
_FIRST_LINES = 100_000
_MOST_OPEN_TOKENS = 1 << 18
_PIECE_TOKENS = 4096


def trace_json_lines(path: Path, shape: TraceShape) -> RoutingTrace:
    """Tokens of one file, or of all ``.jsonl[.gz]`` files of a folder in the order of their names.

    The layers are those that the meta line or the first lines name. A token whose index starts over within a request
    belongs to another forward pass: each such pass is taken as a request of its own.

    Raises:
        TraceError: A line is malformed or does not fit ``shape``, or files were recorded of different models.
    """
    files = line_files(path)
    layers = _layers(files, shape)

    def read() -> Iterator[TokenChunk]:
        requests = _Requests()
        for file in files:
            yield from _Assembly(file, shape, layers, requests).chunks()

    return RoutingTrace(place=str(path), format="json_lines", shape=shape, layers=layers, read=read)


def line_files(path: Path) -> list[Path]:
    """``path``, or the ``.jsonl`` and ``.jsonl.gz`` files of a folder by name.

    Raises:
        TraceError: The folder has none.
    """
    if not path.is_dir():
        return [path]
    files = [file for file in entries(path) if file.name.endswith((".jsonl", ".jsonl.gz"))]
    if not files:
        raise TraceError(f"{path}: no .jsonl or .jsonl.gz file in this folder")
    return files


def parse_line(line: bytes, place: str) -> dict:
    """One line as a JSON object.

    Raises:
        TraceError: It is none.
    """
    try:
        row = json.loads(line.decode(), object_pairs_hook=unique_keys)
    except UnicodeDecodeError as error:
        raise TraceError(f"{place}: not UTF-8 text (byte {error.start} of the line)") from None
    except RepeatedKeyError as error:
        raise TraceError(f"{place}: key {error} occurs twice in one object") from None
    except json.JSONDecodeError as error:
        raise TraceError(f"{place}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise TraceError(f"{place}: nested too deeply for a trace") from None
    if type(row) is not dict:
        raise TraceError(f"{place}: a line must be an object, got {line[:40].decode()!r}")
    return row


def _layers(files: list[Path], shape: TraceShape) -> tuple[int, ...]:
    """Layers that the meta line or the first lines of the files name."""
    found: set[int] = set()
    models: dict[str, Path] = {}
    for file in files:
        for row, place in _first_rows(file, shape):
            if row.get("type", "route") == "meta":
                logged = _check_meta(row, shape, place)
                models.setdefault(str(row.get("model_id")), file)
                found |= set(logged or ())
                if logged and place.endswith(":1"):
                    break
            elif type(row.get("layer")) is int:
                found.add(row["layer"])
    if len(models) > 1:
        (first, one), (second, other) = list(models.items())[:2]
        raise TraceError(f"{one} was recorded of {first}, {other} of {second}; a folder must hold one model")
    foreign = sorted(found - set(shape.moe_layers))
    if foreign or not found:
        what = f"layer {foreign[0]} is no layer with experts of {shape.name}" if found else "no line names a layer"
        raise TraceError(f"{files[0]}: {what}")
    return tuple(sorted(found))


def _first_rows(file: Path, shape: TraceShape) -> Iterator[tuple[dict, str]]:
    """Rows of the first 100,000 lines with their places; of plain blocks only one row per layer, and other lines."""
    for number, block in line_blocks(file):
        if number > _FIRST_LINES:
            return
        columns = columns_of(block, shape) if number > 1 else None
        if columns is None:
            rows = lines_of(block, number)
            if number == 1:  # mostly a meta line; what it says may spare the rest
                first = next(rows, None)
                if first is None:
                    continue
                yield parse_line(first[1], f"{file}:{first[0]}"), f"{file}:{first[0]}"
                columns = columns_of(block, shape)
        if columns is not None:
            lines = block.split(b"\n") if columns.others else []
            for i in columns.others:
                yield parse_line(lines[i], f"{file}:{number + i}"), f"{file}:{number + i}"
            yield from (({"layer": layer}, f"{file}:{number}") for layer in np.unique(columns.layer).tolist())
            continue
        for at, line in rows:
            yield parse_line(line, f"{file}:{at}"), f"{file}:{at}"


def _check_meta(row: dict, shape: TraceShape, place: str) -> list[int] | None:
    if row.get("top_k", shape.top_k) != shape.top_k:
        raise TraceError(f"{place}: recorded with top_k {row['top_k']}, but {shape.name} uses {shape.top_k} a token")
    logged = row.get("layers_logged")
    if logged is not None and (
        type(logged) is not list or not logged or any(type(layer) is not int for layer in logged)
    ):
        raise TraceError(f"{place}: layers_logged {logged!r} is no list of layer ids")
    return logged


class _Requests:
    """Numbers of requests over all files; a request may be met again after its token index started over."""

    def __init__(self) -> None:
        self.count = 0
        self.starts_over = 0


class _Assembly:
    """Gathers the layers of a token from their lines."""

    def __init__(self, file: Path, shape: TraceShape, layers: tuple[int, ...], requests: _Requests) -> None:
        self.file, self.shape, self.layers, self.requests = file, shape, layers, requests
        self.index = {layer: i for i, layer in enumerate(layers)}
        self.current: dict[object, int] = {}  # req_id -> number of its request
        self.last: dict[object, list[int]] = {}  # req_id -> token index of its last line in each layer
        self.open: dict[tuple[int, int], list] = {}  # (request, token) -> rows by layer, number of rows
        self.ready: list[tuple[int, int, list]] = []
        self.first_row = 0

    def chunks(self) -> Iterator[TokenChunk]:
        for number, block in line_blocks(self.file):
            columns = columns_of(block, self.shape)
            if columns is None or not np.isin(columns.layer, self.layers).all():
                for at, line in lines_of(block, number):
                    row = parse_line(line, f"{self.file}:{at}")
                    if row.get("type") in (None, "route"):
                        self.add(row, f"{self.file}:{at}")
                    if len(self.ready) >= _PIECE_TOKENS:
                        yield self.take()
            else:
                yield from self._columns(columns, number)
        if self.open:
            (request, token), (rows, count) = next(iter(self.open.items()))
            lacking = [layer for layer, found in zip(self.layers, rows, strict=True) if found is None]
            raise TraceError(
                f"{self.file}: request {request}, token {token} has {count} of {len(self.layers)} layers; layer "
                f"{lacking[0]} is missing"
            )
        if self.ready:
            yield self.take()

    def _columns(self, rows: LineColumns, number: int) -> Iterator[TokenChunk]:
        """Rows of a block: those of whole tokens at once, those around them one by one."""
        covered = len(self.layers)
        at, count = 0, len(rows.layer)
        while self.open and at < count:  # a token that the block before left open
            self._put_row(rows, at, number)
            at += 1
        end = at + (count - at) // covered * covered
        layer, token, name = (values[at:end].reshape(-1, covered) for values in (rows.layer, rows.token, rows.name))
        dense = (layer == np.array(self.layers)).all() and (token == token[:, :1]).all() and (name == name[:, :1]).all()
        if dense and end > at:
            if self.ready:
                yield self.take()
            requests = self._runs([rows.names[i] for i in name[:, 0].tolist()], token[:, 0].tolist())
            shape = (len(token), covered, self.shape.top_k)
            weights = None if rows.weights is None else rows.weights[at:end].reshape(shape)
            yield self._chunk(rows.ids[at:end].reshape(shape), weights, requests, token[:, 0])
            at = end
        for row in range(at, count):
            self._put_row(rows, row, number)
            if len(self.ready) >= _PIECE_TOKENS:
                yield self.take()

    def _runs(self, names: list[object], tokens: list[int]) -> list[int]:
        """Number of the request of each whole token; all layers of the tokens before are there."""
        requests = []
        for name, token in zip(names, tokens, strict=True):
            if name not in self.current or token <= self.last[name][0]:
                self._start(name)
            self.last[name] = [token] * len(self.layers)
            requests.append(self.current[name])
        return requests

    def _put_row(self, rows: LineColumns, row: int, number: int) -> None:
        weights = None if rows.weights is None else rows.weights[row].tolist()
        name, token, layer = rows.names[rows.name[row]], int(rows.token[row]), int(rows.layer[row])
        self._put(name, token, layer, (rows.ids[row].tolist(), weights), number + int(rows.line[row]))

    def add(self, row: dict, place: str) -> None:
        ids, weights, layer, token = self._checked(row, place)
        self._put(row["req_id"], token, layer, (ids, weights), int(place.rpartition(":")[2]))

    def _put(self, name: object, token: int, layer: int, found: tuple, number: int) -> None:
        index = self.index[layer]
        if name not in self.current or token <= self.last[name][index]:
            if name in self.current and (self.current[name], token) in self.open:
                raise TraceError(
                    f"{self.file}:{number}: layer {layer} of request {name!r}, token {token} stands there twice"
                )
            self._start(name)
        self.last[name][index] = token
        key = (self.current[name], token)
        rows = self.open.setdefault(key, [[None] * len(self.layers), 0])
        rows[0][index] = found
        rows[1] += 1
        if rows[1] == len(self.layers):
            self.ready.append((*key, self.open.pop(key)[0]))
        elif len(self.open) > _MOST_OPEN_TOKENS:
            raise TraceError(
                f"{self.file}:{number}: {len(self.open)} tokens lack layers; sort the file so that a token's lines stand near"
            )

    def _start(self, name: object) -> None:
        """A new request, or another pass of the request called ``name``."""
        if name in self.current:
            self.requests.starts_over += 1
        self.current[name] = self.requests.count
        self.requests.count += 1
        self.last[name] = [-1] * len(self.layers)

    def _checked(self, row: dict, place: str) -> tuple[list[int], list[float] | None, int, int]:
        missing = [key for key in _KEYS if key not in row]
        if missing:
            raise TraceError(f"{place}: key {missing[0]!r} is missing; a line has {', '.join(_KEYS)}, topk_weights")
        layer, token, ids, weights = row["layer"], row["token_idx"], row["topk_ids"], row.get("topk_weights")
        if type(row["req_id"]) not in (int, str):
            raise TraceError(f"{place}: req_id {row['req_id']!r} is neither a text nor a whole number")
        if type(layer) is not int or layer not in self.index:
            raise TraceError(f"{place}: layer {layer!r} is none of the layers of this trace ({self.layers})")
        if type(token) is not int or not 0 <= token < 1 << 31:
            raise TraceError(f"{place}: token_idx {token!r} is no whole number of 0 or more")
        if type(ids) is not list or len(ids) != self.shape.top_k:
            raise TraceError(f"{place}: topk_ids {ids!r}: {self.shape.name} uses {self.shape.top_k} experts a token")
        for expert in ids:
            if type(expert) is not int or not 0 <= expert < self.shape.experts:
                last = self.shape.experts - 1
                raise TraceError(f"{place}: expert {expert!r} is out of range; {self.shape.name} has experts 0..{last}")
        if len(set(ids)) < len(ids):
            raise TraceError(f"{place}: an expert occurs twice in {ids}")
        if weights is not None:
            plain = type(weights) is list and len(weights) == len(ids)
            if not plain or not all(type(w) in (int, float) and 0 <= w < float("inf") for w in weights):
                raise TraceError(f"{place}: topk_weights {weights!r} must be {len(ids)} finite numbers of 0 or more")
        return ids, weights, layer, token

    def take(self) -> TokenChunk:
        count = len(self.ready)
        ids = [[layer[0] for layer in rows] for _, _, rows in self.ready]
        given = {layer[1] is not None for _, _, rows in self.ready for layer in rows}
        if len(given) > 1:
            raise TraceError(
                f"{self.file}: some lines have topk_weights and others have none; all or none are expected"
            )
        weighted = given == {True}
        weights = [[layer[1] for layer in rows] for _, _, rows in self.ready] if weighted else None
        chunk = self._chunk(
            np.array(ids, dtype=np.int16).reshape(count, len(self.layers), -1),
            None if weights is None else np.array(weights, dtype=np.float32),
            [request for request, _, _ in self.ready],
            [token for _, token, _ in self.ready],
        )
        self.ready = []
        return chunk

    def _chunk(self, ids: np.ndarray, weights: np.ndarray | None, requests: list[int], tokens: object) -> TokenChunk:
        self.first_row += len(ids)
        return token_chunk(
            ids,
            request=requests,
            token=tokens,
            weights=weights,
            place=str(self.file),
            first_row=self.first_row - len(ids),
            notes=(_STARTS_OVER,) if self.requests.starts_over else (),
        )
