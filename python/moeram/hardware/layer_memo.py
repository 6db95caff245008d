"""Near-memory layers that are the same kernel are simulated once: within a run, and across runs through a memo."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.hardware.lowering import NmpWork
from moeram.hardware.memo import Arrays, KernelMemo, memo_key

Answer = dict[str, Any]  # the core's: arrays [L, ...], or names to such arrays
Schema = list[tuple[list[str], list[int]]]  # (path in the answer, shape without the layers)


def run_with_memo(
    work: NmpWork,
    simulate: Callable[[NmpWork], Answer],
    memo: KernelMemo,
    *,
    device: str,
    rows_per_expert: int,
    tier_rows: NDArray[np.int64],
) -> Answer:
    """Answer the work from the memo as far as it goes and simulate the rest, equal layers once.

    A layer is a kernel that starts from a drained, closed chip without refresh, so its program alone decides its result:
    batch, and tokens and tiers of its experts in order. Which expert and which rows of a tier changes nothing, because
    rows of a layer are pairwise different; where they are not, the rows themselves are the program.

    Args:
        simulate: asks the core, L layers in, arrays of L entries out.
        device: key of what else decides a result, the engine's version included.
        tier_rows: [tiers + 1], the first row of each tier, then the end of the last.
    """
    rows = _rows_that_matter(work, rows_per_expert, tier_rows)
    keys = [
        memo_key(device, work.batch, rows[begin:end], work.tokens[begin:end])
        for begin, end in zip(work.layer_begin[:-1], work.layer_begin[1:], strict=True)
    ]
    whole = memo_key("layers", *keys)
    known = memo.get(whole)
    if known is not None:
        return _answer(known["table"], json.loads(known["schema"].tobytes()))
    found = {key: memo.get(key, disk=False) for key in dict.fromkeys(keys)}
    missing = [key for key, entry in found.items() if entry is None]
    if missing:
        first = {key: index for index, key in reversed(list(enumerate(keys)))}
        simulated = simulate(_select(work, [first[key] for key in missing]))
        table, schema = _table(simulated)
        text = np.frombuffer(json.dumps(schema).encode(), dtype=np.uint8)
        for key, row in zip(missing, table, strict=True):
            found[key] = {"row": row, "schema": text}
            memo.put(key, found[key], disk=False)
    entries: list[Arrays] = [found[key] for key in keys]
    result = {"table": np.stack([entry["row"] for entry in entries]), "schema": entries[0]["schema"]}
    memo.put(whole, result)
    return _answer(result["table"], json.loads(result["schema"].tobytes()))


def _rows_that_matter(work: NmpWork, rows_per_expert: int, tier_rows: NDArray[np.int64]) -> NDArray[np.int64]:
    first = work.first_row.astype(np.int64)
    tier = np.searchsorted(tier_rows, first, side="right") - 1
    inside = (tier >= 0) & (tier < len(tier_rows) - 1)
    inside[inside] = first[inside] + rows_per_expert <= tier_rows[tier[inside] + 1]
    layer = np.repeat(np.arange(work.layers), np.diff(work.layer_begin))
    order = np.lexsort((first, layer))
    meets = (np.diff(layer[order]) == 0) & (np.diff(first[order]) < rows_per_expert)
    apart = ~np.isin(layer, layer[order][1:][meets])
    return np.where(inside & apart, tier_rows[np.clip(tier, 0, len(tier_rows) - 1)], first)


def _select(work: NmpWork, layers: list[int]) -> NmpWork:
    chosen = np.asarray(layers)
    sizes = np.diff(work.layer_begin)[chosen]
    begin = np.zeros(len(chosen) + 1, dtype=np.int64)
    np.cumsum(sizes, out=begin[1:])
    entries = np.repeat(work.layer_begin[:-1][chosen] - begin[:-1], sizes) + np.arange(begin[-1])
    return NmpWork(
        layer_begin=begin,
        expert=work.expert[entries],
        first_row=work.first_row[entries],
        tokens=work.tokens[entries],
        batch=work.batch,
    )


def _table(answer: Answer) -> tuple[NDArray[np.int64], Schema]:
    """One row of numbers for each layer, and where they belong."""
    schema: Schema = []
    columns = []

    def take(path: list[str], value: Any) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                take([*path, name], inner)
            return
        schema.append((path, list(value.shape[1:])))
        columns.append(np.asarray(value, dtype=np.int64).reshape(len(value), -1))

    take([], answer)
    return np.concatenate(columns, axis=1), schema


def _answer(table: NDArray[np.int64], schema: Schema) -> Answer:
    answer: Answer = {}
    at = 0
    for path, shape in schema:
        size = int(np.prod(shape, dtype=np.int64))
        place = answer
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = table[:, at : at + size].reshape(len(table), *shape)
        at += size
    return answer
