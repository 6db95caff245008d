"""Decode attention near memory (stratum.md 2.6): heads to groups of ring-adjacent units, tokens to the units of a group, rows to caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError, ConfigError
from moeram.hardware.cycle import chip_configuration, engine_and_standard, load_core, usable_threads
from moeram.hardware.memo import KernelMemo, memo_key
from moeram.hardware.spec import System
from moeram.model import MoEModel

HEADS_PER_GROUP = 2  # at least, so that one head's softmax runs beside the other's matrix products


@dataclass(frozen=True, kw_only=True)
class AttentionWork:
    """Heads of L layers; each layer starts from a drained unit.

    layer_begin: int64 [L + 1]. head: int64 [X, 5], of each key and value head of each request: group (of all chips), tokens attended
    to, how many of them are new, first row of its keys and of its values in the banks of its group. queries_per_head: query heads
    that share a key head, times new tokens of a request. rows: of every bank that caches take, from the first row on.
    """

    layer_begin: NDArray[np.int64]
    head: NDArray[np.int64]
    units_per_group: int
    queries_per_head: int
    head_size: int
    bytes_per_value: int
    bytes_per_activation: int
    rows: int

    @property
    def layers(self) -> int:
        """Number of layers."""
        return len(self.layer_begin) - 1

    @property
    def cache_bytes(self) -> int:
        """Bytes of keys and values that a step attends to."""
        return 2 * int(self.head[:, 1].sum()) * self.head_size * self.bytes_per_value


@dataclass(frozen=True, kw_only=True)
class AttentionTimes:
    """What the engine found. Chips and groups work side by side; busy_ps is of the group that ends last.

    time_ps, macs, link_bytes: int64 [L], of all chips but for the time. rows_read, rows_written: int64 [L, tiers], one for each bank.
    tokens_read, tokens_written: int64 [L, units of all chips], keys, and as many values. busy_ps: name -> int64 [L].
    """

    time_ps: NDArray[np.int64]
    macs: NDArray[np.int64]
    link_bytes: NDArray[np.int64]
    rows_read: NDArray[np.int64]
    rows_written: NDArray[np.int64]
    tokens_read: NDArray[np.int64]
    tokens_written: NDArray[np.int64]
    busy_ps: dict[str, NDArray[np.int64]]


def group_size(heads: int, system: System) -> int:
    """Return the smallest number of units of a group, a divisor of the ring, that leaves every group at least two heads.

    heads: key and value heads of all requests; a ring with fewer than four is one group.
    """
    channels = system.device.channels
    on_chip = heads // system.chips
    fitting = [size for size in range(1, channels + 1) if channels % size == 0]
    return next((size for size in fitting if on_chip >= HEADS_PER_GROUP * (channels // size)), channels)


def lower_attention(
    model: MoEModel,
    tokens: Sequence[int],
    system: System,
    *,
    first_row: int,
    rows: int,
    layers: int | None = None,
    new_tokens: int = 1,
    units_per_group: int | None = None,
) -> AttentionWork:
    """Give every head its group and rows: heads go around the chips, then around a chip's groups; layers follow one another in the rows.

    A head's keys, and its values, begin a new row in each bank of its group.

    Args:
        tokens: of each request, new ones included.
        first_row, rows: of every bank that caches may take. layers: all of the model by default.

    Raises:
        ConfigError: attention whose cache is not keys and values of heads, of whole bytes; a group size that does not divide the ring.
        CapacityError: the caches need more rows.
    """
    value_bytes, size = (
        _check(model, tokens, new_tokens),
        units_per_group or group_size(len(tokens) * model.kv_heads, system),
    )
    if system.device.channels % size:
        raise ConfigError(f"attention: groups of {size} units, allowed: divisors of {system.device.channels}")
    device, groups = system.device, system.device.channels // size
    index = np.arange(len(tokens) * model.kv_heads)
    group = index % system.chips * groups + index // system.chips % groups
    tokens_per_row = device.banks_per_channel * (device.row_bytes // (model.head_dim * value_bytes)) * size
    tables, row = [], first_row
    for layer in range(model.layers if layers is None else layers):
        kind = model.attention.kind(layer)
        length = np.repeat([model.attention.read_tokens(kind, count) for count in tokens], model.kv_heads)
        kept = np.repeat([model.attention.kept_tokens(kind, count) for count in tokens], model.kv_heads)
        need = -(-kept // tokens_per_row)
        below = _rows_below(need, group)
        tables.append(
            np.stack([group, length, np.full_like(length, new_tokens), row + below, row + below + need], axis=1)
        )
        row += int((below + 2 * need).max())
    if row - first_row > rows:
        raise CapacityError(
            f"caches of {len(tokens)} requests of up to {max(tokens)} tokens need {row - first_row} rows of a bank "
            f"(groups of {size} units); reserved: {rows}"
        )
    return AttentionWork(
        layer_begin=np.arange(len(tables) + 1, dtype=np.int64) * len(index),
        head=np.concatenate(tables).astype(np.int64),
        units_per_group=size,
        queries_per_head=model.heads // model.kv_heads * new_tokens,
        head_size=model.head_dim,
        bytes_per_value=value_bytes,
        bytes_per_activation=model.bytes_per_activation,
        rows=row - first_row,
    )


def _rows_below(need: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of a group's earlier heads, keys and values, for each head."""
    below = np.zeros_like(need)
    for one in np.unique(group):
        mine = group == one
        below[mine] = 2 * (np.cumsum(need[mine]) - need[mine])
    return below


def _check(model: MoEModel, tokens: Sequence[int], new_tokens: int) -> int:
    """Return the bytes of a value in the cache."""
    if model.attention.latent or model.attention.linear:
        raise ConfigError(f"model {model.name}: near-memory attention here runs key and value heads only")
    values = 2 * model.kv_heads * model.head_dim
    if model.kv_layer_bytes % values or model.heads % model.kv_heads:
        raise ConfigError(
            f"model {model.name}: near-memory attention here runs caches of whole bytes a value and equal groups of query heads"
        )
    if not tokens or min(tokens) < new_tokens or new_tokens < 1:
        raise ConfigError(
            f"attention: requests of {list(tokens)} tokens, {new_tokens} of them new; allowed: at least those of this step"
        )
    return model.kv_layer_bytes // values


def run_attention(
    work: AttentionWork,
    system: System,
    *,
    result_row: int,
    overlap_softmax: bool = True,
    overlap_reduce_scatter: bool = True,
    slowest_tier_everywhere: bool = False,
    threads: int | None = None,
    reuse_identical_groups: bool = True,
    memo: KernelMemo | None = None,
) -> AttentionTimes:
    """Simulate decode attention layer by layer, from the switch into near-memory mode to the outputs at the processor.

    Args:
        result_row: first of the rows that take the outputs. memo: the whole work is looked up there before it is simulated.

    Raises:
        CapacityError: a buffer of the unit is too small, or rows lie outside a bank or on those of the outputs.
    """
    configuration: dict[str, Any] = {
        **chip_configuration(system),
        "bytes_per_activation": work.bytes_per_activation,
        "result_row": result_row,
        "overlap_reduce_scatter": overlap_reduce_scatter,
        "slowest_tier_everywhere": slowest_tier_everywhere,
    }
    shape = {
        name: getattr(work, name) for name in ("units_per_group", "queries_per_head", "head_size", "bytes_per_value")
    }
    shape["overlap_softmax"] = overlap_softmax
    key = None
    if memo is not None:
        key = memo_key("attention", engine_and_standard(system.device.standard), configuration, shape, work.layer_begin, work.head)
        found = memo.get(key)
        if found is not None:
            busy = {name[5:]: array for name, array in found.items() if name.startswith("busy_")}
            return AttentionTimes(
                **{name: array for name, array in found.items() if not name.startswith("busy_")}, busy_ps=busy
            )
    core = load_core()
    answer = core.run_attention(
        core.NmpConfig(**configuration),
        work.layer_begin,
        work.head,
        **shape,
        threads=usable_threads(threads),
        reuse_identical_groups=reuse_identical_groups,
    )
    times = AttentionTimes(**answer)
    if memo is not None and key is not None:
        arrays = {name: array for name, array in answer.items() if name != "busy_ps"}
        memo.put(key, arrays | {f"busy_{name}": array for name, array in answer["busy_ps"].items()})
    return times
