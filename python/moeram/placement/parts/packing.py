"""Two steps that balancing policies share: how many replicas, and which pack (part, node) takes which item."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def replicate(load: NDArray[np.floating], slots: int) -> NDArray[np.int64]:
    """Fill `slots` with experts: one of each, then again and again the one with the largest load per replica.

    Args:
        load: of each expert, [rows, experts]; rows are independent.

    Returns:
        The expert of each slot, int64 [rows, slots]: 0 .. experts - 1, then the replicas in order of choice; ties go to
        the lower expert.
    """
    rows, experts = load.shape
    row = np.arange(rows)
    chosen = np.empty((rows, slots), dtype=np.int64)
    chosen[:, :experts] = np.arange(experts)
    count = np.ones_like(load)
    for slot in range(experts, slots):
        chosen[:, slot] = (load / count).argmax(axis=1)
        count[row, chosen[:, slot]] += 1
    return chosen


def replica_load(load: NDArray[np.floating], chosen: NDArray[np.int64]) -> NDArray[np.floating]:
    """Load of each slot when the replicas of an expert share its load evenly; shapes as in `replicate`."""
    rows, experts = load.shape
    flat = (chosen + np.arange(rows)[:, None] * experts).ravel()
    count = np.bincount(flat, minlength=rows * experts).reshape(rows, experts).astype(load.dtype)
    return np.take_along_axis(load / count, chosen, axis=1)


def pack_equally(load: NDArray[np.floating], packs: int) -> NDArray[np.int64]:
    """Give every pack equally many items: heaviest item first, each to the lightest pack that has room.

    Args:
        load: of each item, [rows, items], items a multiple of packs; rows are independent.

    Returns:
        Items of each pack in the order they came, int64 [rows, packs, items / packs]; ties go to the lower item and the
        lower pack. With one item per pack all choices are alike and item i is in pack i.
    """
    rows, items = load.shape
    room = items // packs
    assert room * packs == items
    if room == 1:
        return np.broadcast_to(np.arange(items)[:, None], (rows, packs, 1)).copy()
    row = np.arange(rows)
    order = np.argsort(-load, axis=1, kind="stable")
    total = np.zeros((rows, packs), dtype=load.dtype)
    filled = np.zeros((rows, packs), dtype=np.int64)
    packed = np.empty((rows, packs, room), dtype=np.int64)
    for item in order.T:
        pack = np.where(filled < room, total, np.inf).argmin(axis=1)
        packed[row, pack, filled[row, pack]] = item
        filled[row, pack] += 1
        total[row, pack] += load[row, item]
    return packed
