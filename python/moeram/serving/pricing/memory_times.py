"""How long a memory with units takes for what a step leaves to it: by closed forms, or by the cycle engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moeram.errors import ConfigError
from moeram.hardware.memo import shared_memo
from moeram.hardware.memories import ComputingMemory
from moeram.hardware.pim_engine import PimEngine, expert_chain
from moeram.hardware.pim_memory import PimMemory
from moeram.hardware.priced import Priced
from moeram.hardware.spread import Spread
from moeram.model import MoEModel
from moeram.schedule.groups import TokenGroups
from moeram.serving.pricing.model_work import StepWork
from moeram.serving.step import Origin, Step

# Steps whose attention is simulated once more, to state the error of its closed form.
_ATTENTION_HELD = 2


class MemoryTimes(Protocol):
    """What pricers ask of the memory of each GPU. fidelity: of all its times."""

    fidelity: str

    def expert_ps(self, tokens: NDArray[np.int64]) -> Priced:
        """Price experts with so many tokens each [T], as a table measured in advance has it."""
        ...

    def groups_ps(self, groups: TokenGroups, kept: NDArray[np.int64], expert_ps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what the experts of each group that are kept in memory take together [groups]; decision l * GPUs + g is layer l of GPU g.

        kept: [groups], how many. expert_ps: [T], the table of one.
        """
        ...

    def attention_ps(self, step: Step, work: StepWork) -> NDArray[np.float64]:
        """Return the time of decode attention of each layer with experts and each GPU [L, G]."""
        ...

    def origins(self) -> list[Origin]:
        """Return where the times come from."""
        ...

    def notes(self) -> tuple[str, ...]:
        """What a reader of a run must know."""
        ...


class LayerShares:
    """Which layers with experts attend how: work of attention is that of their kinds; layers without experts are spread over them."""

    def __init__(self, model: MoEModel) -> None:
        kinds = [model.attention.kind(layer) for layer in range(model.layers)]
        self.kinds = tuple(dict.fromkeys(kinds))
        self._all = np.array([kinds.count(kind) for kind in self.kinds])
        self._of_layer = np.array([self.kinds.index(kinds[layer]) for layer in model.moe_layers])
        self._even = np.full(len(self._of_layer), 1 / len(self._of_layer))
        self._here = np.bincount(self._of_layer, minlength=len(self.kinds))

    def shares(self, work: StepWork) -> NDArray[np.float64]:
        """Return the share of each layer with experts [L] in what decode attention reads; nothing is spread evenly."""
        if len(self.kinds) > 1:
            layers = self.spread(np.array([float(work.read_tokens[kind].sum()) for kind in self.kinds]))
            if layers.any():
                return layers / layers.sum()
        return self._even

    def spread(self, layer_ps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Spread times of a layer of each kind [kinds, ...] over the layers with experts [L, ...]; the sum is that of all layers."""
        if len(self.kinds) == 1:
            return np.repeat(layer_ps * (self._all[0] / self._here[0]), len(self._of_layer), axis=0)
        total, here = np.tensordot(self._all, layer_ps, 1), np.tensordot(self._here, layer_ps, 1)
        if not (here[total > 0] > 0).all():
            return np.repeat((total / len(self._of_layer))[None], len(self._of_layer), axis=0)
        scale = np.divide(total, here, out=np.zeros_like(total), where=here > 0)
        return layer_ps[self._of_layer] * scale


class FormulaTimes:
    """Closed forms of the memory (analytic): an expert is a chain of single tokens, attention its bytes and operations over the peak."""

    fidelity = "analytic"

    def __init__(self, memory: ComputingMemory, model: MoEModel, gpus: int) -> None:
        self._memory, self._model, self._gpus, self._shares = memory, model, gpus, LayerShares(model)
        self._attended: Spread[tuple[float, Step, StepWork]] = Spread(_ATTENTION_HELD)

    def expert_ps(self, tokens: NDArray[np.int64]) -> Priced:
        """Price experts; see `MemoryTimes`."""
        return self._memory.expert_ps(tokens, self._model)

    def groups_ps(self, groups: TokenGroups, kept: NDArray[np.int64], expert_ps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the time of each group; see `MemoryTimes`."""
        return kept * expert_ps[groups.tokens]

    def attention_ps(self, step: Step, work: StepWork) -> NDArray[np.float64]:
        """Return attention by layer and GPU; requests are spread evenly."""
        queued_ps, _ = self._memory.attention_ps(work.attention_bytes // self._gpus, work.attention_ops // self._gpus)
        if len(step.decode):
            self._attended.add((float(queued_ps) * self._gpus, step, work))
        return np.repeat((self._shares.shares(work) * float(queued_ps))[:, None], self._gpus, axis=1)

    def origins(self) -> list[Origin]:
        """Return where the times come from, with their errors against the engine, where it plays this memory."""
        how = f"closed form of {self._memory.name}"
        experts, attention = (Origin(f"{what} in memory", self.fidelity, how) for what in ("experts", "decode attention"))
        if not (isinstance(self._memory, PimMemory) and self._memory.standard):
            return [experts, attention]
        played = expert_chain(self._memory, self._model, shared_memo()).turn_ps
        experts = experts._replace(error=self._memory.token_ps(self._model) / played - 1, against="cycle engine")
        try:
            engine = EngineTimes(PimEngine(self._memory, self._model, shared_memo()), self._model, self._gpus)
            pairs = [(time_ps, float(engine.attention_ps(*of).sum())) for time_ps, *of in self._attended.items]
        except ConfigError as error:
            return [experts, attention._replace(how=f"{how}; not held against the engine: {error}")]
        formula_ps, engine_ps = (sum(times) for times in zip(*pairs, strict=True)) if pairs else (0.0, 0.0)
        if engine_ps:
            attention = attention._replace(error=formula_ps / engine_ps - 1, against="cycle engine")
        return [experts, attention]

    def notes(self) -> tuple[str, ...]:
        """Nothing that the label does not say."""
        return ()


@dataclass(frozen=True, kw_only=True)
class LastStep:
    """chain_tokens: int64 [G], tokens that the experts on each GPU's memory took. read_tokens: of each request in a layer of each kind."""

    chain_tokens: NDArray[np.int64]
    read_tokens: Mapping[str, NDArray[np.int64]]
    new_tokens: int


class EngineTimes:
    """The cycle engine's (cycle-memo): the experts of a step are one chain of tokens on each GPU, layer after layer and the fewest tokens
    first, refreshes where they fall in it; attention is the mean of each shape. Requests are dealt out to GPUs in turn.
    """

    def __init__(self, engine: PimEngine, model: MoEModel, gpus: int) -> None:
        self.fidelity, self.engine, self._model, self._gpus = engine.fidelity, engine, model, gpus
        self._shares = LayerShares(model)
        self._formula = FormulaTimes(engine.memory, model, gpus)
        self._sums = {"experts": [0.0, 0.0], "attention": [0.0, 0.0]}  # engine, closed form
        self._last = LastStep(chain_tokens=np.zeros(gpus, dtype=np.int64), read_tokens={}, new_tokens=1)

    def expert_ps(self, tokens: NDArray[np.int64]) -> Priced:
        """Price experts; see `MemoryTimes`."""
        return self.engine.expert_ps(tokens)

    def groups_ps(self, groups: TokenGroups, kept: NDArray[np.int64], expert_ps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the time of each group; see `MemoryTimes`."""
        end, chain_tokens = groups.chains(kept, self._gpus)
        end_ps = self.engine.experts.ps(np.stack([end - kept * groups.tokens, end]))
        took = (end_ps[1] - end_ps[0]).astype(float)
        self._last = replace(self._last, chain_tokens=chain_tokens)
        self._add("experts", took.sum(), int(chain_tokens.sum()) * self.engine.memory.token_ps(self._model))
        return took

    def attention_ps(self, step: Step, work: StepWork) -> NDArray[np.float64]:
        """Return attention by layer and GPU."""
        of_kind = [work.read_tokens[kind] for kind in self._shares.kinds]
        times = np.array([
            [
                self.engine.attention_ps(read[gpu :: self._gpus], step.tokens_per_request) if read.any() else 0.0
                for gpu in range(self._gpus)
            ]
            for read in of_kind
        ])  # fmt: skip
        layers = self._shares.spread(times)
        self._last = replace(self._last, read_tokens=work.read_tokens, new_tokens=step.tokens_per_request)
        self._add("attention", layers.sum(), self._formula.attention_ps(step, work).sum())
        return layers

    @property
    def last_step(self) -> LastStep:
        """What was priced last, all commands of which `commands` counts."""
        return self._last

    def commands(self) -> dict[str, int]:
        """Return the DRAM commands of the last step's attention and experts, of all pseudochannels of all GPUs."""
        total: Counter[str] = Counter()
        for gpu, tokens in enumerate(self._last.chain_tokens.tolist()):
            for name, count in self.engine.experts.commands_of(tokens).items():
                total[name] += count * self.engine.memory.channels
            for kind, read in self._last.read_tokens.items():
                layers = self._model.layers_of_kind(kind) if read.any() else 0
                mine = read[gpu :: self._gpus]
                for name, count in (
                    self.engine.attention_commands(mine, self._last.new_tokens).items() if layers else ()
                ):
                    total[name] += count * layers
        return dict(total)

    def _add(self, what: str, engine_ps: float, formula_ps: float) -> None:
        self._sums[what][0] += engine_ps
        self._sums[what][1] += formula_ps

    def origins(self) -> list[Origin]:
        """Return where the times come from."""
        how = f"{self.engine.memory.standard} with refresh"
        return [Origin(f"{what} in memory", self.fidelity, how) for what in ("experts", "decode attention")]

    def notes(self) -> tuple[str, ...]:
        """Where the times come from, and how far the closed forms are from them over the work of the run."""
        errors = [
            f"{what} {formula_ps / engine_ps - 1:+.1%}"
            for what, (engine_ps, formula_ps) in self._sums.items()
            if engine_ps
        ]
        return (
            f"units at the banks: {self.fidelity}, every command of the engine; the closed forms differ by " + ", ".join(errors),
        ) if errors else ()  # fmt: skip
