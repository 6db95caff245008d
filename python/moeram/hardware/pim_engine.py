"""Times of Sieve's memory by the cycle engine (fidelity cycle-memo), refresh on.

All tokens that the units of a GPU compute pass through experts of one shape, so that its experts are one chain of equal turns, whoever
they are: one pseudochannel plays them until its state comes back, and what follows is that period again (exact, every command with its cycle).
A turn of attention is one query through the scores and values of one head's cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moeram.errors import ConfigError
from moeram.hardware.cycle import engine_and_standard
from moeram.hardware.memo import Arrays, KernelMemo, memo_key
from moeram.hardware.pim_memory import ELEMENT_BYTES, MatrixCut, PimMemory
from moeram.hardware.pim_programs import matrices_program, pseudochannel
from moeram.hardware.priced import Priced
from moeram.hardware.program_runs import play_turns
from moeram.model import MoEModel

# Turns of all programs here came back within a few hundred; beyond this many multiplications a chain is not looked at.
_MOST_COLUMNS = 1 << 20
_FEWEST_TURNS = 64


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Equal turns one behind the other on one pseudochannel, the first at the beginning of a refresh interval.

    end_ps: int64 [turns + 1] behind each. issued: int64 [turns + 1, commands] until then; commands: their names. period: turns after
    which everything comes again from period_begin on; 0: no state came back in the turns that were played.
    """

    end_ps: NDArray[np.int64]
    issued: NDArray[np.int64]
    commands: tuple[str, ...]
    period_begin: int
    period: int

    @property
    def turn_ps(self) -> float:
        """Mean time of a turn of an endless chain; where no state came back, of the turns that were played."""
        begin = self.period_begin if self.period else 0
        return float(self.end_ps[-1] - self.end_ps[begin]) / (len(self.end_ps) - 1 - begin)

    def ps(self, turns: ArrayLike) -> NDArray[np.int64]:
        """Return the time of so many turns [...] from the first on."""
        return self._after(self.end_ps, np.asarray(turns, dtype=np.int64))

    def commands_of(self, turns: int) -> dict[str, int]:
        """Return the commands that one pseudochannel issues in so many turns."""
        counts = self._after(self.issued, np.asarray(turns))
        return {name: int(count) for name, count in zip(self.commands, counts.tolist(), strict=True) if count}

    def _after(self, column: NDArray[np.int64], turns: NDArray[np.int64]) -> NDArray[np.int64]:
        known = len(self.end_ps) - 1
        if not self.period:
            if turns.size and int(turns.max()) > known:
                raise ConfigError(
                    f"a chain of {int(turns.max())} turns, known: {known}, and its states do not come back"
                )
            return column[turns]
        rounds, rest = np.divmod(np.maximum(turns - self.period_begin, 0), self.period)
        grown = column[-1] - column[self.period_begin]
        return column[np.minimum(turns, self.period_begin) + rest] + np.multiply.outer(rounds, grown)


class PimEngine:
    """The memory of one GPU with the engine's times of one model.

    Raises:
        ConfigError: no declaration of this memory for the engine, or a model that its units cannot compute.
    """

    fidelity = "cycle-memo"

    def __init__(self, memory: PimMemory, model: MoEModel, memo: KernelMemo | None = None) -> None:
        if memory.standard is None:
            raise ConfigError(f"memory {memory.name}: there is no standard that the engine could play its programs on")
        memory.token_ps(model)  # refuses weights that the units cannot multiply
        self.memory, self.model, self._memo = memory, model, memo
        self._chains: dict[tuple[MatrixCut, ...], Chain] = {}
        self._query_ps: dict[int, NDArray[np.float64]] = {}
        self._heads = _CacheHeads.of(model)
        self.experts = self.chain(memory.phases(model))

    def chain(self, cuts: Sequence[MatrixCut]) -> Chain:
        """Return the chain whose turn is one vector through these matrices."""
        key = tuple(cuts)
        if key not in self._chains:
            self._chains[key] = play_chain(self.memory, cuts, self._memo)
        return self._chains[key]

    def expert_ps(self, tokens: NDArray[np.int64]) -> Priced:
        """Price experts with so many tokens each [n] by the mean turn of an endless chain, as a table measured in advance has it."""
        return Priced(
            time_ps=np.ceil(tokens * self.experts.turn_ps).astype(np.int64),
            bound_ps=np.floor(tokens * self.memory.roofline_ps(self.model)).astype(np.int64),
            fidelity=self.fidelity,
        )

    def attention_ps(self, tokens: NDArray[np.int64], new_tokens: int = 1) -> float:
        """Return the time of decode attention of one layer over caches of so many tokens [requests] of one GPU.

        Each head of a request's cache lies in pseudochannels of its own, as many as there are for each, and is read once for each query; where
        heads are more than pseudochannels they follow one another there, the longest dealt out first.
        """
        heads = len(tokens) * self._heads.count
        if not heads:
            return 0.0
        channels = self._head_channels(len(tokens))
        times = np.repeat(self._queries_ps(tokens, channels), self._heads.count) * self._heads.queries * new_tokens
        if heads <= self.memory.channels:
            return float(times.max())
        place = np.arange(heads) % self.memory.channels
        return float(np.bincount(place, weights=np.sort(times)[::-1]).max())

    def attention_commands(self, tokens: NDArray[np.int64], new_tokens: int = 1) -> dict[str, int]:
        """Return the commands of all pseudochannels for it."""
        total: Counter[str] = Counter()
        for read, requests in zip(*np.unique(tokens, return_counts=True), strict=True):
            cuts, queries = self.attention_program(int(read), len(tokens))
            for name, count in self.chain(cuts).commands_of(queries * new_tokens).items():
                total[name] += count * self._head_channels(len(tokens)) * self._heads.count * int(requests)
        return dict(total)

    def attention_program(self, tokens: int, requests: int) -> tuple[tuple[MatrixCut, MatrixCut], int]:
        """Return scores and values of a head over so many tokens where a GPU has so many requests, and the queries that read it."""
        return self._matrices(tokens, self._head_channels(requests)), self._heads.queries

    def _head_channels(self, requests: int) -> int:
        return max(self.memory.channels // max(requests * self._heads.count, 1), 1)

    def _matrices(self, tokens: int, channels: int) -> tuple[MatrixCut, MatrixCut]:
        scores = self.memory.cut(tokens, self._heads.key_size, channels)
        return scores, self.memory.cut(self._heads.value_size, tokens, channels)

    def _queries_ps(self, tokens: NDArray[np.int64], channels: int) -> NDArray[np.float64]:
        known = self._query_ps.get(channels, np.zeros(0))
        most = int(tokens.max())
        if most >= len(known):
            grown = np.full(max(most + 1, 2 * len(known)), np.nan)
            grown[: len(known)] = known
            known = self._query_ps[channels] = grown
        for new in np.unique(tokens[np.isnan(known[tokens])]).tolist():
            known[new] = self.chain(self._matrices(new, channels)).turn_ps
        return known[tokens]


def expert_chain(memory: PimMemory, model: MoEModel, memo: KernelMemo | None = None) -> Chain:
    """Return the chain whose turn is one token through one expert."""
    return play_chain(memory, memory.phases(model), memo)


def play_chain(memory: PimMemory, cuts: Sequence[MatrixCut], memo: KernelMemo | None = None) -> Chain:
    """Return the chain whose turn is one vector through these matrices, from the memo if that knows it."""
    trace, played_on = matrices_program(memory, cuts), pseudochannel(memory)
    most = max(_FEWEST_TURNS, _MOST_COLUMNS // sum(cut.columns for cut in cuts))
    key = memo_key("pim turns", engine_and_standard(played_on.standard), played_on.configuration(), trace, most)
    found = memo.get(key) if memo is not None else None
    if found is None:
        answer = play_turns(played_on, trace, most=most)
        found = _arrays(answer)
        if memo is not None:
            memo.counts.commands_of_misses += int(answer["issued"][-1].sum())
            memo.put(key, found)
    begin, period = found["period"].tolist()
    return Chain(
        end_ps=found["end_cycles"] * memory.tck_ps,
        issued=found["issued"],
        commands=tuple(found["commands"].tobytes().decode().split("\n")),
        period_begin=begin,
        period=period,
    )


def _arrays(answer: dict[str, Any]) -> Arrays:
    return {
        "end_cycles": answer["end_cycles"],
        "issued": answer["issued"],
        "commands": np.frombuffer("\n".join(answer["commands"]).encode(), dtype=np.uint8),
        "period": np.array([answer["period_begin"], answer["period"]]),
    }


@dataclass(frozen=True, kw_only=True)
class _CacheHeads:
    """Heads of one request's cache in one layer, the queries that read each, and the values of a token in keys and values."""

    count: int
    queries: int
    key_size: int
    value_size: int

    @classmethod
    def of(cls, model: MoEModel) -> _CacheHeads:
        latent = model.attention.latent
        if latent:
            size = latent.kv_rank + latent.rope_head_dim
            heads, values = cls(count=1, queries=model.heads, key_size=size, value_size=latent.kv_rank), size
        else:
            size, queries = model.head_dim, model.heads // model.kv_heads
            heads = cls(count=model.kv_heads, queries=queries, key_size=size, value_size=size)
            values = 2 * model.kv_heads * size
        if model.kv_layer_bytes != values * ELEMENT_BYTES:
            raise ConfigError(
                f"model {model.name}: units read 16-bit caches, a token has {model.kv_layer_bytes} bytes for {values} values in a layer"
            )
        return heads
