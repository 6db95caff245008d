"""Which part (GPU, stack, chip) holds which expert: the budget of slots and the plan; both are checked here only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moeram.errors import CapacityError, ConfigError, TraceError
from moeram.model import MoEModel
from moeram.placement.plan import check_array

MOST_SLOTS = 2**20  # of all parts in one layer: beyond any machine, and plans of it beyond this one's memory


@dataclass(frozen=True, kw_only=True)
class PartBudget:
    """What the parts hold: `slots` experts of every layer each, so parts x slots - experts of them may be replicas.

    nodes: groups of successive parts with a faster link inside. groups: groups of successive experts that tokens choose
    first (group-limited routing); 1 where the model has none.

    Raises:
        ConfigError: a number is below 1, or parts (experts) are no multiple of nodes (groups).
        CapacityError: the slots of all parts hold fewer than all experts, or are more than MOST_SLOTS.
    """

    layers: int
    experts: int
    parts: int
    slots: int
    nodes: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        for key in ("layers", "experts", "parts", "slots", "nodes", "groups"):
            if getattr(self, key) < 1:
                raise ConfigError(f"placement on parts: {key} is {getattr(self, key)}, allowed: 1 or more")
        for many, few in (("parts", "nodes"), ("experts", "groups")):
            if getattr(self, many) % getattr(self, few):
                raise ConfigError(
                    f"placement on parts: {many} ({getattr(self, many)}) is no multiple of {few} ({getattr(self, few)})"
                )
        if self.all_slots > MOST_SLOTS:
            raise CapacityError(
                f"placement on parts: {self.parts} parts of {self.slots} slots, allowed: {MOST_SLOTS} slots in a layer"
            )
        if self.parts * self.slots < self.experts:
            raise CapacityError(
                f"{self.experts} experts of a layer do not fit {self.parts} parts of {self.slots} slots; "
                f"each part needs at least {-(-self.experts // self.parts)} slots"
            )

    def check_values(self, name: str, values: NDArray[np.floating], axes: int) -> None:
        """Refuse (TraceError) values that are not [layers, experts] or [layers, experts, experts], or no counts."""
        wanted = (self.layers, self.experts, self.experts)[:axes]
        if np.shape(values) != wanted:
            raise TraceError(f"placement on parts: {name} of shape {np.shape(values)}, the budget needs {wanted}")
        if not (np.isfinite(values).all() and np.min(values) >= 0):
            raise TraceError(f"placement on parts: {name} has a negative, infinite or missing (NaN) value")

    @property
    def all_slots(self) -> int:
        """Slots of all parts in one layer: the most replicas, first ones included."""
        return self.parts * self.slots


def part_budget(
    model: MoEModel, parts: int, *, replicas: int = 0, nodes: int = 1, groups: int = 1, part_bytes: int | None = None
) -> PartBudget:
    """Return the budget of equal parts that hold all routed experts and `replicas` more per layer.

    Args:
        replicas: per layer, besides the first copy of each expert; rounded up until all parts have equally many slots.
        part_bytes: memory of a part for routed experts; None means enough.

    Raises:
        ConfigError: an impossible number.
        CapacityError: the slots of a part exceed part_bytes; the message has the numbers.
    """
    if parts < 1 or replicas < 0:
        raise ConfigError(
            f"placement on parts: given {parts} parts, {replicas} replicas; allowed: 1 or more, 0 or more"
        )
    slots = -(-(model.experts + replicas) // parts)
    layers = len(model.moe_layers)
    needed = layers * slots * model.expert_bytes
    if part_bytes is not None and needed > part_bytes:
        raise CapacityError(
            f"{model.name} does not fit: {slots} experts in each of {layers} layers need {needed / 2**30:.1f} GiB of a "
            f"part, it has {part_bytes / 2**30:.1f} GiB; take more parts or fewer replicas"
        )
    return PartBudget(layers=layers, experts=model.experts, parts=parts, slots=slots, nodes=nodes, groups=groups)


@dataclass(frozen=True, kw_only=True)
class PartPlan:
    """The expert in every slot of every part.

    expert: int32 [layers, parts, slots], -1 where a slot is empty. Flattened to [layers, parts x slots] it is EPLB's
    physical-to-logical map. The tokens of an expert are shared evenly by its replicas; two replicas on one part are
    allowed (EPLB makes such plans), they take two shares.

    Raises:
        CapacityError: the array does not fit the budget, an id is out of range, or an expert lies nowhere.
    """

    policy: str
    budget: PartBudget
    expert: NDArray[np.int32]

    def __post_init__(self) -> None:
        budget, expert = self.budget, self.expert
        shape = (budget.layers, budget.parts, budget.slots)
        check_array(self.policy, "slots", expert, shape, np.integer)
        if expert.min() < -1 or expert.max() >= budget.experts:
            raise CapacityError(f"placement {self.policy}: expert ids must lie in 0..{budget.experts - 1} (-1: empty)")
        missing = np.argwhere(self.replicas == 0)
        if len(missing):
            layer, lost = missing[0]
            raise CapacityError(f"placement {self.policy}: expert {lost} of layer index {layer} is on no part")

    @property
    def copies(self) -> NDArray[np.int64]:
        """Replicas of each expert on each part, int64 [layers, experts, parts]."""
        budget = self.budget
        layer, part, slot = np.nonzero(self.expert >= 0)
        flat = (layer * budget.experts + self.expert[layer, part, slot]) * budget.parts + part
        counts = np.bincount(flat, minlength=budget.layers * budget.experts * budget.parts)
        return counts.reshape(budget.layers, budget.experts, budget.parts)

    @property
    def replicas(self) -> NDArray[np.int64]:
        """Replicas of each expert, int64 [layers, experts]."""
        return self.copies.sum(axis=2)

    def load(self, usage: NDArray[np.float64]) -> NDArray[np.float64]:
        """Selections that each part serves, float64 [layers, parts], of `usage` [layers, experts]."""
        copies = self.copies
        share = usage / copies.sum(axis=2)
        return np.einsum("le,lep->lp", share, copies)

    def balance(self, usage: NDArray[np.float64]) -> NDArray[np.float64]:
        """Largest load over mean load, float64 [layers]: 1 is even; NaN in a layer without any selection."""
        load = self.load(usage)
        with np.errstate(invalid="ignore"):
            return load.max(axis=1) / load.mean(axis=1)

    def cross_pairs(self, pairs: NDArray[np.floating]) -> NDArray[np.float64]:
        """Share of the pairs of experts of a token that no part holds together, float64 [layers].

        Where experts have replicas this is the best case, a lower bound: the token takes the replicas that are together.

        Args:
            pairs: tokens that use both experts, [layers, experts, experts], symmetric, zero diagonal.

        Returns:
            NaN in a layer without pairs (one expert per token).
        """
        held = (self.copies > 0).astype(np.float32)
        apart = held @ held.transpose(0, 2, 1) == 0
        with np.errstate(invalid="ignore"):
            return (pairs * apart).sum(axis=(1, 2)) / pairs.sum(axis=(1, 2))

    def moved_copies(self, previous: PartPlan) -> int:
        """How many replicas, over all layers, lie on a part that did not hold them under the previous plan."""
        return int(np.clip(self.copies - previous.copies, 0, None).sum())
