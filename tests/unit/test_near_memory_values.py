"""Stratum's experts and attention on values: from the engine's commands and the lowered caches, against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from moeram.errors import CapacityError, ConfigError, TraceError
from moeram.hardware import AttentionWork, CycleOptions, load_system, lower, lower_attention, run_attention
from moeram.model import load_model
from moeram.pim import near_memory_values as near
from moeram.pim.numbers import FORMATS

HIDDEN, INNER, TOP_K, EXPERTS, BATCH, LAYERS = 512, 512, 2, 3, 2, 2  # two rows an expert
RESULT_ROW = 32767


def system(chips=1):
    name = {1: "stratum_s", 6: "stratum_l"}[chips]
    return load_system(name)


class Layers:
    """Two layers of five experts, a batch of three tokens, operands and numpy's answer."""

    def __init__(self, number="bf16", chips=1, inner=INNER, seed=0):
        self.number, self.system = FORMATS[number], system(chips)
        rng = np.random.default_rng(seed)
        self.slices = near.Slices(system=self.system, hidden=HIDDEN, inner=inner)
        self.experts = [
            [near.Expert(*(self.number.round(rng.standard_normal(size) / 8) for size in ((HIDDEN, inner), (HIDDEN, inner), (inner, HIDDEN))))
             for _ in range(EXPERTS)]
            for _ in range(LAYERS)
        ]  # fmt: skip
        self.x = self.number.round(rng.standard_normal((LAYERS, BATCH, HIDDEN)))
        self.draws = np.stack([np.stack([rng.permutation(EXPERTS)[:TOP_K] for _ in range(LAYERS)]) for _ in range(BATCH)])
        self.weights = rng.random((BATCH, LAYERS, TOP_K)).astype(np.float32)
        # Experts lie in any order, tiers apart.
        self.first_row = (rng.permutation(LAYERS * EXPERTS) * 3000 + 17).reshape(LAYERS, EXPERTS).astype(np.int32)
        self.work = lower(self.first_row, self.draws[None].astype(np.int16))
        options = CycleOptions(
            hidden_size=HIDDEN, intermediate_size=inner, bits_per_weight=16, bytes_per_activation=2, result_row=RESULT_ROW, threads=1
        )
        self.issued = near.issued_rows(self.work, self.system, options)

    def shares(self):
        out = [{} for _ in range(LAYERS)]
        for token in range(BATCH):
            for layer in range(LAYERS):
                for expert, weight in zip(self.draws[token, layer], self.weights[token, layer], strict=True):
                    out[layer].setdefault(int(expert), {})[token] = float(weight)
        return out

    def run(self, issued=None, move=None):
        rows = near.empty_rows(self.system, self.number)
        for layer in range(LAYERS):
            for expert in range(EXPERTS):
                first = int(self.first_row[layer, expert]) + ((layer, expert) == move)
                near.place_expert(rows, self.slices, self.experts[layer][expert], first)
        return near.run_experts(
            rows, self.slices, self.work, issued or self.issued, self.x, self.shares(), result_row=RESULT_ROW
        )

    def exact(self):
        """The layers in fp64, and how far roundings may lead: sums of n terms in fp32, SiLU, two roundings to the format."""
        place, fp32 = 2.0**-self.number.precision_bits, 2.0**-24
        out, bound = np.zeros(self.x.shape), np.zeros(self.x.shape)
        for layer, shares in enumerate(self.shares()):
            for expert, tokens in shares.items():
                gate, up, down = (matrix.astype(np.float64) for matrix in self.experts[layer][expert])
                for token, weight in tokens.items():
                    x = self.x[layer, token].astype(np.float64)
                    first, second = x @ gate, x @ up
                    slack = [2 * HIDDEN * fp32 * (np.abs(x) @ np.abs(matrix)) for matrix in (gate, up)]
                    silu = first / (1 + np.exp(-first))
                    between = silu * second
                    error = 1.1 * slack[0] * np.abs(second) + np.abs(silu) * slack[1] + np.abs(between) * (1.01 * place + 64 * fp32)
                    out[layer, token] += weight * (between @ down)
                    reach = np.abs(between) @ np.abs(down)
                    bound[layer, token] += abs(weight) * (1.01 * error @ np.abs(down) + 4 * len(down) * fp32 * reach)
        chips = self.system.chips  # each rounds its part
        return out, bound + 1.01 * chips * place * (np.abs(out) + bound) + place * chips * np.abs(out).max() * (chips > 1)


@pytest.fixture(scope="module")
def layers():
    return Layers()


@pytest.mark.parametrize(("number", "chips", "inner"), [("bf16", 1, 512), ("fp16", 1, 48), ("bf16", 6, 96)])
def test_layers_of_experts_lie_within_rounding(number, chips, inner):
    one = Layers(number, chips, inner, seed=1)
    exact, bound = one.exact()
    assert (np.abs(one.run() - exact) <= bound).all()


def test_every_row_and_the_result_row_matter(layers):
    right = layers.run()
    for layer in range(LAYERS):
        for kind in range(2):
            for index in {0, len(layers.issued[layer][0][kind]) - 1}:
                for channel in (0, 15):
                    issued = [[near.RowCommands(list(one.read), list(one.written)) for one in each] for each in layers.issued]
                    issued[layer][channel][kind][index] -= 1
                    try:
                        assert not np.array_equal(layers.run(issued), right)
                    except TraceError as error:
                        assert "holds nothing" in str(error)


def test_an_expert_one_row_off_is_noticed(layers):
    used = int(layers.work.expert[0])
    with pytest.raises(TraceError, match="holds nothing"):
        layers.run(move=(0, used))


def test_experts_on_the_same_rows_are_refused(layers):
    rows = near.empty_rows(layers.system, layers.number)
    near.place_expert(rows, layers.slices, layers.experts[0][0], 5)
    with pytest.raises(CapacityError, match="an operand lies already in row 5"):
        near.place_expert(rows, layers.slices, layers.experts[0][1], 5)
    with pytest.raises(CapacityError, match="row 32768 lies outside 0 to 32767"):
        near.place_expert(rows, layers.slices, layers.experts[0][1], 32768 - layers.slices.rows + 1)
    with pytest.raises(ConfigError, match="multiple of the 16 units"):
        near.Slices(system=layers.system, hidden=HIDDEN, inner=100)


def attention(tokens, units, number="fp16", seed=2, change=None):
    """Heads of requests of so many tokens on a group of units: outputs, and numpy's in fp64 with a bound."""
    model, one = load_model("olmoe-1b-7b"), system()
    work = lower_attention(model, tokens, one, first_row=4096, rows=4096, layers=1, units_per_group=units)
    used = slice(0, 4)  # heads enough
    work = AttentionWork(**{**vars(work), "head": work.head[used].copy(), "layer_begin": np.array([0, 4])})
    rng = np.random.default_rng(seed)
    fmt, size = FORMATS[number], work.head_size
    lengths = work.head[:, 1]
    keys, values = ([fmt.round(rng.standard_normal((int(n), size))) for n in lengths] for _ in range(2))
    queries = [fmt.round(rng.standard_normal((2, size)) / np.sqrt(size)) for _ in lengths]
    rows = near.empty_rows(one, fmt)
    near.place_caches(rows, one, work, keys, values)
    if change is not None:
        work.head[change[0], change[1]] += change[2]
    found = near.run_attention_on_values(rows, one, work, queries)
    exact = []
    for q, k, v in zip(queries, keys, values, strict=True):
        powers = np.exp(q.astype(np.float64) @ k.T.astype(np.float64))
        exact.append(powers / powers.sum(axis=1, keepdims=True) @ v)
    # Probabilities and outputs are rounded to the format; sums in fp32 are far below.
    place = 2.0 ** -fmt.precision_bits
    bound = [2.2 * place * np.abs(v).max() + 1e-4 for v in values]
    return found, exact, bound


@pytest.mark.parametrize(("tokens", "units"), [((1,), 1), ((37,), 2), ((300, 5), 1), ((1100,), 4), ((40,), 16)])
@pytest.mark.parametrize("number", ["fp16", "bf16"])
def test_attention_with_two_exchanges_of_scalars(tokens, units, number):
    found, exact, bound = attention(tokens, units, number)
    for one, other, limit in zip(found, exact, bound, strict=True):
        assert np.abs(one - other).max() <= limit


@pytest.mark.parametrize(("tokens", "units"), [((300, 7), 4), ((2000,), 16), ((40, 900), 2)])
def test_the_engine_streams_the_rows_and_tokens_that_the_values_were_read_from(tokens, units):
    model, one = load_model("olmoe-1b-7b"), system()
    work = lower_attention(model, tokens, one, first_row=4096, rows=8192, layers=1, units_per_group=units)
    read = [set() for _ in range(one.device.channels)]
    count = np.zeros(one.device.channels, dtype=np.int64)

    class Counted(near.RowStore):
        def read_part(self, channel, bank, row, lane, lanes, column=0):
            read[channel].add(row)
            count[channel] += 1
            return super().read_part(channel, bank, row, lane, lanes, column)

    empty = near.empty_rows(one, FORMATS["fp16"])
    rows = Counted(empty.counts, empty.lanes, empty.number)
    caches = [np.ones((int(n), work.head_size), np.float32) for n in work.head[:, 1]]
    near.place_caches(rows, one, work, caches, caches)
    found = near.run_attention_on_values(rows, one, work, [np.ones((1, work.head_size))] * len(caches))
    assert all((values == 1).all() for values in found)
    times = run_attention(work, one, result_row=RESULT_ROW)
    assert (times.tokens_read[0] * 2 == count).all()  # keys, and as many values
    assert times.rows_read.sum() == one.device.banks_per_channel * sum(map(len, read))


@pytest.mark.parametrize("change", [(1, 3, 1), (1, 4, 1), (2, 3, -1), (3, 0, 1), (0, 1, -1)])
def test_rows_groups_and_lengths_of_a_head_matter(change):
    right = attention((300,), 4)[0]
    try:
        found = attention((300,), 4, change=change)[0]
    except TraceError as error:
        assert "hold" in str(error) or "channel 16 lies outside" in str(error)
    else:
        assert not np.array_equal(found[change[0]], right[change[0]])
