"""Where everything lives: the row budget of a system (capacity is checked here only) and the plan of a placement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError
from moeram.hardware import System
from moeram.model import MoEModel


@dataclass(frozen=True, kw_only=True)
class RowBudget:
    """Rows of every bank, by use. All data is spread over all banks of all chips (stratum.md 3.2).

    rows: rows of a bank. rows_per_expert: Delta = ceil(S_E / (N_bank S_rb)). layers, experts, shared_experts, top_k: of
    the model, layers with experts only. phi: rows [0, phi) hold experts and, between hot and cold ones, the KV cache.
    kv_rows: KV reserve. non_nmp_first_row, non_nmp_rows: all other weights and, in the last result_rows of these rows,
    the results of a layer.
    """

    rows: int
    rows_per_expert: int
    layers: int
    experts: int
    shared_experts: int
    top_k: int
    phi: int
    kv_rows: int
    non_nmp_first_row: int
    non_nmp_rows: int
    result_rows: int

    @property
    def expert_count(self) -> int:
        """All experts of all layers, shared ones included."""
        return self.layers * (self.experts + self.shared_experts)

    @property
    def hot_count(self) -> int:
        """tau = (top_k + shared) x layers: how many experts count as hot (Algorithm 1, U17)."""
        return self.layers * (self.top_k + self.shared_experts)

    @property
    def kv_first_row(self) -> int:
        """The KV reserve begins right above the hot experts."""
        return self.hot_count * self.rows_per_expert

    @property
    def result_row(self) -> int:
        """The first of the rows that take the results of a layer."""
        return self.non_nmp_first_row + self.non_nmp_rows - self.result_rows


def bare_budget(*, layers: int, experts: int, top_k: int, shared_experts: int = 0) -> RowBudget:
    """Return one row per expert and nothing else, for figures that depend on ranks alone, such as hit rates."""
    rows = layers * (experts + shared_experts)
    return RowBudget(
        rows=rows,
        rows_per_expert=1,
        layers=layers,
        experts=experts,
        shared_experts=shared_experts,
        top_k=top_k,
        phi=rows,
        kv_rows=0,
        non_nmp_first_row=rows,
        non_nmp_rows=0,
        result_rows=0,
    )


def row_budget(
    model: MoEModel, system: System, *, phi: str | int, kv_requests: int, context_tokens: int, batch: int
) -> RowBudget:
    """Divide the rows of a bank between experts, KV cache and other data.

    Args:
        phi: "compact" (expert rows + KV reserve), "full" (all rows less those of non-NMP data) or a number of rows.
        kv_requests, context_tokens, batch: requests and tokens of each in the KV reserve; tokens of a layer's results.

    Raises:
        CapacityError: it does not fit; the message has the numbers.
    """
    row_set = system.row_set_bytes
    rows_per_expert = -(-model.expert_bytes // row_set)
    expert_rows = rows_per_expert * len(model.moe_layers) * (model.experts + model.shared_experts)
    kv_rows = -(-kv_requests * context_tokens * model.kv_bytes_per_token // row_set)
    result_rows = _result_rows(model, system, batch)
    non_nmp_rows = -(-model.non_expert_bytes // row_set) + result_rows
    rows = system.device.rows
    if expert_rows + kv_rows + non_nmp_rows > rows:
        kv_cache = f"KV cache of {kv_requests} x {context_tokens} tokens"
        parts = {"experts": expert_rows, kv_cache: kv_rows, "other weights and results": non_nmp_rows}
        _refuse(model, system, parts)
    limit = _phi_rows(phi, expert_rows + kv_rows, rows, non_nmp_rows)
    hot_rows = rows_per_expert * len(model.moe_layers) * (model.top_k + model.shared_experts)
    above = rows - non_nmp_rows
    return RowBudget(
        rows=rows,
        rows_per_expert=rows_per_expert,
        layers=len(model.moe_layers),
        experts=model.experts,
        shared_experts=model.shared_experts,
        top_k=model.top_k,
        phi=limit,
        kv_rows=kv_rows,
        non_nmp_first_row=above if limit <= above else hot_rows + kv_rows,  # above Phi, else in the hole below it
        non_nmp_rows=non_nmp_rows,
        result_rows=result_rows,
    )


def _result_rows(model: MoEModel, system: System, batch: int) -> int:
    """Every chip writes a partial result of all tokens (U14), a slice of it per channel."""
    device = system.device
    slice_bytes = -(-batch * model.hidden_size * model.bytes_per_activation // device.channels)
    return -(-slice_bytes // (device.banks_per_channel * device.row_bytes))


def _refuse(model: MoEModel, system: System, rows_of: dict[str, int]) -> NoReturn:
    gib = system.row_set_bytes / 2**30
    parts = " + ".join(f"{name} {rows * gib:.1f} GiB" for name, rows in rows_of.items())
    raise CapacityError(
        f"{model.name} does not fit {system.name}: {parts} = {sum(rows_of.values()) * gib:.1f} GiB, "
        f"the system holds {system.device.rows * gib:.1f} GiB; "
        + ("take a larger system" if rows_of["experts"] > system.device.rows else "lower kv_requests or context_tokens")
    )


def _phi_rows(phi: str | int, needed: int, rows: int, non_nmp_rows: int) -> int:
    above = rows - non_nmp_rows  # up to here the other data lies above Phi, beyond it in the hole below
    if phi == "compact":
        return needed
    if phi == "full":
        return above
    lowest_beyond = max(needed + non_nmp_rows, above + 1)
    if not (needed <= phi <= above or lowest_beyond <= phi <= rows):
        raise CapacityError(
            f"phi: given {phi} rows, allowed: {needed} (experts and KV reserve) to {above}, {lowest_beyond} to {rows} "
            f"(with {non_nmp_rows} rows of other data below Phi), 'compact' or 'full'"
        )
    return int(phi)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The rows of every expert; each holds [first_row, first_row + rows_per_expert) in every bank.

    first_row: int32 [layers, experts + shared]. hot: bool of the same shape, or None where no expert is set apart. The
    last columns are the shared experts. slowest_tier_everywhere: the device runs as if all its rows were of the slowest
    tier.

    Raises:
        CapacityError: an array is of the wrong shape or type, intervals overlap, leave [0, phi) or meet rows of the KV
            reserve or of other data, or the hot experts are more than hot_count or not those of the lowest rows.
    """

    policy: str
    budget: RowBudget
    first_row: NDArray[np.int32]
    hot: NDArray[np.bool_] | None
    slowest_tier_everywhere: bool = False

    def __post_init__(self) -> None:
        budget = self.budget
        shape = (budget.layers, budget.experts + budget.shared_experts)
        check_array(self.policy, "first rows", self.first_row, shape, np.integer)
        self._check_intervals(np.sort(self.first_row, axis=None))
        if self.hot is not None:
            check_array(self.policy, "hot flags", self.hot, shape, np.bool_)
            self._check_hot(self.hot)

    def _check_intervals(self, first: NDArray[np.integer]) -> None:
        budget, rows = self.budget, self.budget.rows_per_expert
        if first[0] < 0 or int(first[-1]) + rows > budget.phi or (np.diff(first) < rows).any():
            raise CapacityError(f"placement {self.policy}: experts overlap or leave rows 0 to {budget.phi - 1}")
        for what, begin, count in (
            ("the KV reserve", budget.kv_first_row, budget.kv_rows),
            ("other data", budget.non_nmp_first_row, budget.non_nmp_rows),
        ):
            if count and ((first < begin + count) & (first + rows > begin)).any():
                raise CapacityError(
                    f"placement {self.policy}: an expert lies in rows {begin} to {begin + count - 1}, kept for {what}"
                )

    def _check_hot(self, hot: NDArray[np.bool_]) -> None:
        count = int(hot.sum())
        if count > self.budget.hot_count:
            raise CapacityError(f"placement {self.policy}: {count} experts are hot, allowed: {self.budget.hot_count}")
        if 0 < count < hot.size and self.first_row[hot].max() > self.first_row[~hot].min():
            raise CapacityError(f"placement {self.policy}: a hot expert lies above one that is not hot")


def check_array(policy: str, name: str, given: Any, shape: tuple[int, ...], kind: type[np.generic]) -> None:
    """Refuse (CapacityError) what is no array of that shape and kind, np.integer or np.bool_."""
    if not isinstance(given, np.ndarray) or not np.issubdtype(given.dtype, kind):
        what = f"an array of {given.dtype}" if isinstance(given, np.ndarray) else f"a {type(given).__name__}"
        wanted = "whole numbers" if kind is np.integer else "booleans"
        raise CapacityError(f"placement {policy}: {name} are {what}, allowed: a numpy array of {wanted}")
    if given.shape != shape:
        raise CapacityError(f"placement {policy}: {name} of shape {given.shape}, the budget has {shape}")
