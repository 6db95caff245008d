"""A model's kernels on one of several GPUs: measured where the tables have their exact shape, by roofline elsewhere.

What of a step is looked up, and at which sizes:

* MoE layers: tokens of the batch. Which experts they use is then the table's distribution, not the routing of the run.
* products (projections, dense FFNs, shared experts, router, output head): tokens, or at the head sequences.
* decode attention: requests and their mean context, since its bytes and operations are linear in the contexts; of models whose every
  layer attends to everything, without latents, one new token for each request.
* attention of prompts: those that begin in this step, as so many equal ones with the same sum of squares, to which the operations of
  causal attention are proportional. What continues a prompt stays roofline.
* all-reduce between the GPUs: the vector's elements.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moeram.errors import ConfigError, TraceError
from moeram.hardware.gpu_cost import GpuCost
from moeram.hardware.network import Network
from moeram.hardware.priced import Priced, worst
from moeram.model import MoEModel
from moeram.serving.pricing.model_work import ModelWork, StepWork
from moeram.serving.pricing.table_shapes import nothing_fits, products, require_distribution, shapes
from moeram.serving.step import Origin, Step

# Kernels of a layer besides the experts': norm, QKV, rotation, attention, O, norm, router.
DENSE_KERNELS = 7
_WHAT = {
    "moe": "MoE layers",
    "generation_attention": "decode attention",
    "context_attention": "attention of prompts",
    "all_reduce": "all-reduce",
}
_KEPT_SIZES = 4096


def network_origin(network: Network, part: str = "network") -> Origin:
    """Return where the times of transfers come from; of closed forms with their error against event mode over those of the run."""
    error = network.error()
    return Origin(part, network.fidelity, network.how, error, "" if error is None else "event mode")


class Part(NamedTuple):
    """What one part of a step takes, ps."""

    time_ps: int
    bound_ps: int
    fidelity: str = "analytic"

    def plus(self, other: Part) -> Part:
        """Return both, one after the other; what takes no time makes nothing less sure."""
        if not (self.time_ps and other.time_ps):
            return self if self.time_ps else other
        label = worst(self.fidelity, other.fidelity)
        return Part(self.time_ps + other.time_ps, self.bound_ps + other.bound_ps, label)


NOTHING = Part(0, 0, "cycle")


class GroupedExperts(NamedTuple):
    """each_ps: of experts [n]; call_ps: of a product with any experts at all."""

    each_ps: NDArray[np.float64]
    call_ps: float


class GpuKernels:
    """Kernels of a model on each of several GPUs.

    cut: GPUs over which products are cut; heads_cut: over which attention heads are, None: the same. moe_cut: tensor and expert parallelism of the routed experts. distribution: of tokens over experts in the tables, None: balanced.
    floors: whether launches outside the experts are counted; otherwise the router is the caller's too.

    Raises:
        ConfigError: tables without any shape of this model, or without the distribution.
    """

    def __init__(
        self,
        model: MoEModel,
        cost: GpuCost,
        *,
        cut: int = 1,
        heads_cut: int | None = None,
        moe_cut: tuple[int, int] = (1, 1),
        distribution: str | None = None,
        dtype: str = "bfloat16",
        floors: bool = True,
    ) -> None:
        self._model, self._cost, self._dtype = model, cost, dtype
        self._cut, self._heads_cut = cut, cut if heads_cut is None else heads_cut
        self._launches = model.layers if floors else 0
        self._work = ModelWork(model)
        self._shapes = shapes(model, self._heads_cut, moe_cut, distribution or "balanced")
        self._products = [
            product
            for product in products(model, cut)
            if cost.measures("gemm", product.shape) and (floors or product.name != "router")
        ]
        if cost.tables is not None:
            require_distribution(cost.tables, distribution)
            if not (self._products or any(self.measures(name) for name in self._shapes if name != "all_reduce" or cut > 1)):
                raise ConfigError(nothing_fits(cost.tables, self._shapes, model))
        self._left = {of_head: self._not_measured(of_head) for of_head in (False, True)}
        self._kept: dict[tuple[str, float], Part] = {}
        self._beyond: set[str] = set()

    def measures(self, operation: str) -> bool:
        """Return whether the tables have this operation (`OPERATIONS`) for the model."""
        shape = self._shapes.get(operation)
        return shape is not None and self._cost.measures(operation, shape)

    def body(self, tokens: int) -> Part:
        """Price all that is neither routed experts nor attention, of all layers."""
        return self._dense(tokens, of_head=False)

    def head(self, sequences: int) -> Part:
        """Price the output head for sequences that need their next token."""
        return self._dense(sequences, of_head=True)

    def attention(self, step: Step, work: StepWork) -> Part:
        """Price attention of decoding requests and of prompts."""
        decode = self.decode_attention(step, work)
        # Both share their launches unless decoding was measured alone.
        launched = not len(step.decode) or decode.fidelity != "analytic"
        return decode.plus(self.prompt_attention(step, work, launched=launched))

    def decode_attention(self, step: Step, work: StepWork, *, share: int = 1) -> Part:
        """Price attention of decoding requests, 1 / share of them on this GPU; recurrent states and new keys are counted with it."""
        if len(step.decode) and step.tokens_per_request == 1 and self.measures("generation_attention"):
            requests = max(len(step.decode) / share, 1.0)
            bound_ps = work.attention_bytes / share / self._heads_cut / self._cost.gpu.bytes_per_ps
            return self._layers("generation_attention", bound_ps, step.context_tokens.mean(), requests)
        moved = work.attention_bytes + work.state_bytes + work.kv_written_bytes
        share *= self._heads_cut
        return self._roofline(moved / share, work.attention_ops / share, self._launches if len(step.decode) else 0)

    def prompt_attention(self, step: Step, work: StepWork, *, launched: bool = True, share: int = 1) -> Part:
        """Price attention of prompts, 1 / share of them on this GPU; launched: its kernels are their own."""
        begins, parts = step.chunk_start == 0, share * self._heads_cut
        part = NOTHING
        if self.measures("context_attention") and begins.any():
            equal = math.sqrt(float((step.chunk_tokens[begins].astype(float) ** 2).mean()))
            begun = self._of(step, begins)
            bound_ps = begun.prefill_attention_ops / parts / self._cost.gpu.peak_flops_per_ps(self._dtype)
            part = self._layers("context_attention", bound_ps, equal, max(int(begins.sum()) / share, 1.0))
            work = self._of(step, ~begins)
        launches = self._launches if launched and work.prefill_attention_ops else 0
        return part.plus(
            self._roofline(work.prefill_attention_bytes / parts, work.prefill_attention_ops / parts, launches)
        )

    def moe_layers(self, tokens: int, bound_ps: float) -> Part:
        """Return measured MoE layers of a batch; bound_ps: of all of them together."""
        layers, layer = len(self._model.moe_layers), self._once("moe", tokens)
        return Part(layer.time_ps * layers, min(int(bound_ps), layer.time_ps * layers), layer.fidelity)

    def grouped_experts(self, tokens: NDArray[np.integer]) -> GroupedExperts:
        """Return what experts with so many tokens [n] add to a grouped product of any of them.

        Derived from measured layers in which all experts have equally many tokens. One token of a batch uses top_k experts, as many
        tokens as experts / top_k use each expert once: the difference is that of the experts, what is left is the call's own.
        """
        model = self._model
        alike = model.experts / model.top_k
        sizes = np.concatenate([[1.0, alike], np.maximum(tokens, 1) * alike])
        found = self._measured("moe", np.zeros(len(sizes)), sizes).time_ps.astype(float)
        call = max((model.experts * found[0] - model.top_k * found[1]) / (model.experts - model.top_k), 0.0)
        each = np.where(tokens > 0, np.maximum(found[2:] - call, 0.0) / model.experts, 0.0)
        return GroupedExperts(each, call)

    def all_reduce(self, vector_bytes: int) -> Part:
        """Return a measured all-reduce of a vector."""
        return self._once("all_reduce", vector_bytes // self._model.bytes_per_activation)

    def origins(self) -> tuple[Origin, ...]:
        """Return where the times of each part come from, and which were asked for beyond the measured range so far."""
        source = self._cost.tables.source if self._cost.tables else ""
        # Whoever joins the GPUs says how they reduce where that was not measured.
        asked = [name for name in _WHAT if name != "all_reduce" or self.measures(name)]
        found = [
            Origin(_WHAT[name], self._label(name), source)
            if self.measures(name)
            else Origin(_WHAT[name], "analytic", "roofline")
            for name in asked
        ]
        found += [Origin(f"product {product.name}", self._label(product.name), source) for product in self._products]
        others = "other products, norms, rotation" if self._products else "products, norms, rotation"
        return (*found, Origin(others, "analytic", "roofline"))

    def _label(self, name: str) -> str:
        return "measured, extrapolated" if name in self._beyond else "measured"

    def _dense(self, tokens: int, *, of_head: bool) -> Part:
        stored, parameters, launches = self._left[of_head]
        part = self._roofline(stored / self._cut, 2 * parameters * tokens / self._cut, launches)
        for product in self._products:
            if product.of_head == of_head:
                once = self._once(product.name, tokens)
                part = part.plus(Part(once.time_ps * product.count, once.bound_ps * product.count, once.fidelity))
        return part

    def _not_measured(self, of_head: bool) -> tuple[int, int, int]:
        """Return bytes and parameters over all GPUs, and launches, that no table covers."""
        work, products = self._work, [product for product in self._products if product.of_head == of_head]
        stored, parameters = (work.head_bytes, work.head_parameters) if of_head else (work.dense_bytes, work.dense_parameters)
        # Attention has launches of its own.
        launches = 1 if of_head else (DENSE_KERNELS - 1) * self._launches
        return (
            stored - sum(product.stored_bytes for product in products),
            parameters - sum(product.parameters for product in products),
            max(launches - sum(product.count for product in products), 0) if self._launches else 0,
        )

    def _layers(self, operation: str, bound_ps: float, *sizes: float) -> Part:
        layers = self._model.layers
        priced = self._measured(operation, bound_ps / layers, *sizes)
        return Part(int(priced.time_ps[0]) * layers, int(priced.bound_ps[0]) * layers, priced.fidelity)

    def _once(self, name: str, size: float) -> Part:
        """Return one call, kept: sizes of a run come again and again."""
        if (name, size) not in self._kept:
            if len(self._kept) == _KEPT_SIZES:
                self._kept.clear()
            priced = self._measured(name, self._product_bound_ps(name, size), size)
            self._kept[name, size] = Part(int(priced.time_ps[0]), int(priced.bound_ps[0]), priced.fidelity)
        return self._kept[name, size]

    def _product_bound_ps(self, name: str, rows: float) -> float:
        for product in self._products:
            if product.name == name:
                moved = product.stored_bytes / product.count / self._cut / self._cost.gpu.bytes_per_ps
                operations = 2 * product.shape["n"] * product.shape["k"] * rows
                return max(moved, operations / self._cost.gpu.peak_flops_per_ps(self._dtype))
        return 0.0

    def _measured(self, name: str, bound_ps: ArrayLike, *sizes: ArrayLike) -> Priced:
        """Look up an operation of the tables, or a product by its name."""
        shape, operation = self._shapes.get(name), name
        for product in self._products:
            if product.name == name:
                shape, operation = product.shape, "gemm"
        assert shape is not None, name
        try:
            priced = self._cost.measured(operation, shape, bound_ps, *sizes)
        except TraceError as error:
            raise TraceError(f"{error}; outside_measured: label continues the table and says so") from None
        if priced.fidelity != "measured":
            self._beyond.add(name)
        return priced

    def _of(self, step: Step, prompts: NDArray[np.bool_]) -> StepWork:
        """Return the work of some of a step's prompts alone."""
        none = np.zeros(0, dtype=np.int64)
        chosen = {
            name: getattr(step, name)[prompts] for name in ("prefill", "chunk_tokens", "chunk_start", "prefill_topic")
        }
        return self._work.of(replace(step, decode=none, context_tokens=none, topic=none, believed_topic=None, **chosen))

    def _roofline(self, moved: float, operations: float, launches: int) -> Part:
        return Part(*self._cost.one(moved, operations, self._dtype, kernels=launches))
