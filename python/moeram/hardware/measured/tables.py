"""Times by operation and shape: the lookup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moeram.errors import TraceError, did_you_mean
from moeram.hardware.measured.interpolation import interpolate

_ATTENTION = ("num_heads", "num_key_value_heads", "head_dim", "attn_dtype", "kv_cache_dtype", "window_size")
_SHAPE = ("hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size", "distribution")
# Operation -> (columns of the shape, axes from the inner to the outer).
OPERATIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "moe": (("moe_dtype", *_SHAPE), ("num_tokens",)),
    "gemm": (("gemm_dtype", "n", "k"), ("m",)),
    "context_attention": (_ATTENTION, ("isl", "batch_size")),
    "generation_attention": (_ATTENTION, ("context", "batch_size")),
    **{
        name: (("nccl_dtype", "num_gpus"), ("message_size",))
        for name in ("all_gather", "reduce_scatter", "all_reduce", "alltoall")
    },
}


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Measured times: time_ps int64 [n]; extrapolated: which lie outside the measured range, bool [n]."""

    time_ps: NDArray[np.int64]
    extrapolated: NDArray[np.bool_]


class MeasuredTables:
    """All tables of one device; times by operation and shape."""

    def __init__(
        self, tables: Mapping[str, Mapping[tuple[Any, ...], NDArray[np.float64]]], source: str, device: str | None = None
    ) -> None:
        """Take operation -> shape -> points [n, axes + 1] (sizes, then ps), sorted by their axes from outer to inner; device None: not named."""
        self._tables = tables
        self.source, self.device = source, device

    @property
    def operations(self) -> tuple[str, ...]:
        """Operations that some table has."""
        return tuple(sorted(self._tables))

    def shapes(self, operation: str) -> list[dict[str, Any]]:
        """Return the shapes measured for an operation."""
        columns = OPERATIONS[self._known(operation)][0]
        return [dict(zip(columns, shape, strict=True)) for shape in self._tables[operation]]

    def has(self, operation: str, shape: Mapping[str, Any]) -> bool:
        """Return whether this exact shape was measured."""
        columns = OPERATIONS.get(operation, ((), ()))[0]
        return tuple(shape.get(column) for column in columns) in self._tables.get(operation, {})

    def time_ps(self, operation: str, shape: Mapping[str, Any], *sizes: ArrayLike, extrapolate: bool = False) -> Lookup:
        """Return the times of n calls of one shape.

        Args:
            shape: the columns of the operation's shape, see OPERATIONS.
            sizes: one array [n] for each axis, from the inner to the outer.
            extrapolate: allow sizes outside the measured range.

        Raises:
            TraceError: no such operation or shape (names the nearest shapes), or a size outside the range.
        """
        columns, axes = OPERATIONS[self._known(operation)]
        unknown = set(shape) ^ set(columns)
        if unknown:
            name = min(unknown)
            raise TraceError(f"{operation}: the shape needs exactly {', '.join(columns)}; {name!r} is wrong or missing")
        points = self._tables[operation].get(tuple(shape[column] for column in columns))
        if points is None:
            raise TraceError(f"{self.source} has no {operation} of {_text(shape)}{self.nearest(operation, shape)}")
        wanted = np.broadcast_arrays(*(np.atleast_1d(np.asarray(size, dtype=float)) for size in sizes))
        times, outside = interpolate(points, wanted)
        if outside.any() and not extrapolate:
            where = int(np.argmax(outside))
            raise TraceError(
                f"{operation} of {_text(shape)}: {axes[0]} = {wanted[0][where]:g} lies outside the measured range"
                + (f" (at {axes[1]} = {wanted[1][where]:g})" if len(axes) > 1 else f" {_range(points[:, 0])}")
            )
        return Lookup(time_ps=np.rint(times).astype(np.int64), extrapolated=outside)

    def _known(self, operation: str) -> str:
        if operation not in self._tables:
            raise TraceError(f"{self.source} has no operation {operation!r}{did_you_mean(operation, self._tables)}")
        return operation

    def nearest(self, operation: str, shape: Mapping[str, Any]) -> str:
        """Return which measured shapes are nearest and in what they differ, as the end of a message."""

        def differing(other: Mapping[str, Any]) -> int:
            return sum(other[column] != shape[column] for column in shape)

        nearest = sorted(self.shapes(operation), key=differing)[:2]
        return "; nearest: " + " or ".join(_text({c: v for c, v in n.items() if v != shape[c]}) for n in nearest)


def _text(shape: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in shape.items())


def _range(sizes: NDArray[np.float64]) -> str:
    return f"({sizes.min():g} to {sizes.max():g})"
