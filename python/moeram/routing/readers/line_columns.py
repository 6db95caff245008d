"""Blocks of JSON lines with one selection each as columns, by Arrow's parser; what is out of the ordinary is left to others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from moeram.routing.canonical import load_pyarrow
from moeram.routing.readers.digits import sound
from moeram.routing.shape import TraceShape


@dataclass(frozen=True, kw_only=True)
class LineColumns:
    """Rows of a block: ``names`` and the index of each row's request in it, token, layer, ids and weights [rows, top_k].

    ``line`` is the index of the line of each row in the block; ``others`` are those of lines of another type than "route".
    """

    names: list[object]
    name: np.ndarray
    token: np.ndarray
    layer: np.ndarray
    ids: np.ndarray
    weights: np.ndarray | None
    line: np.ndarray
    others: list[int]


def columns_of(block: bytes, shape: TraceShape) -> LineColumns | None:
    """Columns of ``block``, all values checked but for the layers; None if any line is not plainly good."""
    raw = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(raw[:-1] == ord("\n"))  # of all lines but the last
    lines = len(ends) + 1
    if (raw[ends - 1] != ord("}")).any() or (raw[ends + 1] != ord("{")).any() or not _is_text(block):
        return None
    for table in _tables(block):
        if table.num_rows == lines:
            return _checked(table, shape)
    return None


def _is_text(block: bytes) -> bool:
    try:
        return block.isascii() or bool(block.decode())
    except UnicodeDecodeError:
        return False


def _tables(block: bytes) -> Iterator:
    """The block as a table, with whole numbers or texts as ``req_id``; nothing if it is neither."""
    pa, _ = load_pyarrow()
    from pyarrow import json

    for name in (pa.int64(), pa.string()):
        whole = pa.int64()
        fields = {"req_id": name, "token_idx": whole, "layer": whole, "topk_ids": pa.list_(whole)}
        fields |= {"topk_weights": pa.list_(pa.float64()), "type": pa.string()}
        options = json.ParseOptions(explicit_schema=pa.schema(fields.items()), unexpected_field_behavior="infer")
        try:
            read = json.ReadOptions(use_threads=False, block_size=max(len(block), 1))
            yield json.read_json(pa.BufferReader(block), read_options=read, parse_options=options).combine_chunks()
        except (pa.ArrowException, UnicodeDecodeError):
            continue


def _checked(table, shape: TraceShape) -> LineColumns | None:
    from pyarrow import compute

    others = np.flatnonzero(compute.not_equal(table["type"], "route").fill_null(False).to_numpy()).tolist()
    line = np.arange(table.num_rows)
    if others:
        line = np.delete(line, others)
        table = table.take(line)
    columns = {name: _whole(table[name]) for name in ("token_idx", "layer")}
    ids, weights = _lists(table["topk_ids"], shape.top_k), None
    if table["topk_weights"].null_count < table.num_rows:
        weights = _lists(table["topk_weights"], shape.top_k)
        if weights is None or not ((weights >= 0) & (weights < np.inf)).all():
            return None
        weights = weights.astype(np.float32)
    if ids is None or any(values is None for values in columns.values()) or table["req_id"].null_count:
        return None
    token = columns["token_idx"]
    if (
        ids.min(initial=0) < 0
        or token.min(initial=0) < 0
        or token.max(initial=0) >= 1 << 31
        or not sound(ids, shape.experts)
    ):
        return None
    names = table["req_id"].combine_chunks().dictionary_encode()
    return LineColumns(
        names=names.dictionary.to_pylist(),
        name=names.indices.to_numpy(zero_copy_only=False),
        token=token,
        layer=columns["layer"],
        ids=ids.astype(np.int16),
        weights=weights,
        line=line,
        others=others,
    )


def _whole(column) -> np.ndarray | None:
    return None if column.null_count else column.to_numpy()


def _lists(column, width: int) -> np.ndarray | None:
    """Lists of ``width`` numbers as [rows, width]; None if one has another length or a gap."""
    column = column.combine_chunks()
    lengths = column.value_lengths()
    values = column.flatten()
    if column.null_count or values.null_count or (lengths.to_numpy(zero_copy_only=False) != width).any():
        return None
    return values.to_numpy(zero_copy_only=False).reshape(-1, width)
