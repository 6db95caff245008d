"""DeepSeek's expert parallelism load balancer (EPLB), from its public description.

Hierarchical: groups of experts to nodes, replicas inside a node, replicas to the parts of the node; global: the same
with one node and one group. Arithmetic is that of single precision, as in the published program, so that ties and
near-ties fall alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moeram.placement.parts.packing import pack_equally, replica_load, replicate
from moeram.placement.parts.plan import PartPlan
from moeram.placement.parts.policy import PartInput


def eplb(given: PartInput) -> PartPlan:
    """Balance hierarchically if the groups of experts divide evenly among the nodes, else globally."""
    budget = given.budget
    hierarchical = budget.groups % budget.nodes == 0
    groups, nodes = (budget.groups, budget.nodes) if hierarchical else (1, 1)
    return _plan("eplb", given, groups, nodes)


def eplb_global(given: PartInput) -> PartPlan:
    """Balance without regard to groups and nodes."""
    return _plan("eplb_global", given, 1, 1)


def _plan(policy: str, given: PartInput, groups: int, nodes: int) -> PartPlan:
    budget = given.budget
    load = np.asarray(given.usage, dtype=np.float32)
    of_node = _experts_of_nodes(load, groups, nodes)
    node_load = np.take_along_axis(load, of_node.reshape(budget.layers, -1), axis=1).reshape(budget.layers * nodes, -1)
    chosen = replicate(node_load, budget.all_slots // nodes)
    packed = pack_equally(replica_load(node_load, chosen), budget.parts // nodes).reshape(budget.layers * nodes, -1)
    local = np.take_along_axis(chosen, packed, axis=1)
    expert = np.take_along_axis(of_node.reshape(budget.layers * nodes, -1), local, axis=1)
    shape = (budget.layers, budget.parts, budget.slots)
    return PartPlan(policy=policy, budget=budget, expert=expert.reshape(shape).astype(np.int32))


def _experts_of_nodes(load: NDArray[np.float32], groups: int, nodes: int) -> NDArray[np.int64]:
    """Experts of each node, int64 [layers, nodes, experts / nodes]: whole groups, balanced by the sum of their loads."""
    layers, experts = load.shape
    size = experts // groups
    packed = pack_equally(load.reshape(layers, groups, size).sum(axis=2), nodes)
    return (packed[..., None] * size + np.arange(size)).reshape(layers, nodes, -1)
