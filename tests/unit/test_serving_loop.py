"""The serving loop against queueing recursions, closed forms and conservation of tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeram.errors import CapacityError, EngineError
from moeram.serving import BatchingOptions, Peaks, PricedStep, Requests, serve

MS = 1_000_000_000


@dataclass
class Constant:
    """Every step takes the same; keeps what it saw."""

    time_ps: int = MS
    kv_capacity_tokens: int = 1 << 40
    peaks: Peaks = field(default_factory=lambda: Peaks(bytes_per_ps={}, operations_per_ps={}, waiting_w=0.0))
    seen: list = field(default_factory=list)

    def price(self, step):
        self.seen.append(step)
        return PricedStep(time_ps=self.time_ps, bound_ps=0, fidelity="analytic", parts_ps={"gpu": self.time_ps})


def requests(arrivals_ms, prompts, outputs, topics=None):
    count = len(arrivals_ms)

    def column(values):
        return np.full(count, values, dtype=np.int64) if np.isscalar(values) else np.array(values, dtype=np.int64)

    return Requests(
        arrival_ps=np.array(arrivals_ms, dtype=np.int64) * MS,
        prompt_tokens=column(prompts),
        output_tokens=column(outputs),
        topic=column(0 if topics is None else topics),
        source="test",
    )


def test_one_request_pays_a_step_per_chunk_and_per_token():
    record = serve(requests([5], 1000, 7), Constant(), BatchingOptions(prefill_tokens=300))
    assert record.first_token_ps[0] == (5 + 4) * MS
    assert record.finished_ps[0] == (5 + 4 + 6) * MS
    assert record.gaps_ps.tolist() == [MS]
    assert record.gap_counts.tolist() == [6]


def test_a_batch_of_one_is_a_first_come_first_served_queue():
    rng = np.random.default_rng(4)
    arrivals = np.sort(rng.integers(0, 300, 40))
    outputs = rng.integers(1, 12, 40)
    record = serve(requests(arrivals, 10, outputs), Constant(), BatchingOptions(max_requests=1))
    free = 0
    for arrival, output, finished in zip(arrivals, outputs, record.finished_ps // MS, strict=True):
        free = max(free, arrival) + output  # one step for the prompt and first token, one for each further token
        assert finished == free


many = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 50), st.integers(1, 12), st.integers(0, 2)), min_size=1, max_size=12
)


@given(
    many,
    st.builds(
        BatchingOptions,
        policy=st.sampled_from(["continuous", "same_topic"]),
        max_requests=st.integers(1, 5),
        prefill_tokens=st.one_of(st.none(), st.integers(1, 40)),
        mixed=st.booleans(),
        draft_tokens=st.integers(0, 3),
    ),
    st.sampled_from([1.0, 30.0, 1e6]),
)
def test_tokens_are_conserved(rows, options, ttft_limit_ms):
    rows = sorted(rows)
    asked = requests(*(list(column) for column in zip(*rows, strict=True)))
    pricer = Constant(kv_capacity_tokens=130)
    record = serve(asked, pricer, options, ttft_limit_ms=ttft_limit_ms, seed=3)
    assert record.steps["prefill_tokens"].sum() == asked.prompt_tokens.sum()
    assert record.steps["decode_tokens"].sum() == asked.output_tokens.sum()
    assert record.gap_counts.sum() == (asked.output_tokens - 1).sum()
    assert (record.steps["kv_tokens"] <= 130).all()
    assert (asked.arrival_ps <= record.admitted_ps).all()
    assert (record.admitted_ps < record.first_token_ps).all()
    assert (record.first_token_ps <= record.finished_ps).all()
    # Times between tokens of a request add up to its time from first to last token.
    assert (record.gaps_ps * record.gap_counts).sum() == (record.finished_ps - record.first_token_ps).sum()
    for step in pricer.seen:
        assert len(step.decode) + len(step.prefill) <= options.max_requests
        assert options.prefill_tokens is None or step.chunk_tokens.sum() <= options.prefill_tokens
        assert options.mixed or not (len(step.decode) and len(step.prefill))
        assert step.tokens > 0


def test_contexts_grow_by_one_token_a_step():
    pricer = Constant()
    serve(requests([0], 100, 4), pricer, BatchingOptions())
    assert [step.context_tokens.tolist() for step in pricer.seen] == [[], [101], [102], [103]]
    assert [step.chunk_tokens.tolist() for step in pricer.seen] == [[100], [], [], []]


@pytest.mark.parametrize(("acceptance", "steps"), [(1.0, 1 + 4), (0.0, 1 + 16)])
def test_speculation_at_its_ends(acceptance, steps):
    options = BatchingOptions(draft_tokens=3, acceptance=acceptance)
    record = serve(requests([0], 8, 17), Constant(), options)
    assert len(record.steps["time_ps"]) == steps


def test_speculation_yields_its_expected_tokens():
    # 1 + p + p^2 + p^3 tokens a step (a guess counts only behind right ones).
    options = BatchingOptions(draft_tokens=3, acceptance=0.6)
    record = serve(requests([0] * 20, 1, 2001), Constant(), options, seed=1)
    decoding = record.steps["decode_requests"].sum()
    assert 20 * 2000 / decoding == pytest.approx(1 + 0.6 + 0.36 + 0.216, rel=0.01)


def test_same_topic_batches_until_somebody_is_urgent():
    asked = requests([0, 0, 0, 0, 0], 4, 30, topics=[1, 2, 1, 2, 2])
    patient = Constant()
    serve(asked, patient, BatchingOptions(policy="same_topic", max_requests=4), ttft_limit_ms=1e6)
    assert all(len(set(step.topic.tolist()) | set(step.prefill_topic.tolist())) == 1 for step in patient.seen)
    urgent = Constant()
    hurried = BatchingOptions(policy="same_topic", max_requests=4, slo_share=0.8)
    record = serve(asked, urgent, hurried, ttft_limit_ms=10)
    assert any(len(set(step.topic.tolist())) == 2 for step in urgent.seen)
    # Topic 2 has most requests and goes first; topic 1 joins 8 ms after its arrival, when 80 % of its limit are used.
    assert (record.admitted_ps // MS).tolist() == [8, 0, 30, 0, 0]


def test_equal_runs_are_equal():
    asked = requests(list(range(20)), 30, 9)
    options = BatchingOptions(draft_tokens=2)
    left, right = (serve(asked, Constant(), options, seed=5) for _ in range(2))
    assert np.array_equal(left.finished_ps, right.finished_ps)


def test_a_request_that_never_fits_is_refused_before_anything_runs():
    pricer = Constant(kv_capacity_tokens=100)
    with pytest.raises(
        CapacityError, match="request 1 needs keys and values of 110 tokens, the memory has room for 100"
    ):
        serve(requests([0, 0], [10, 100], 10), pricer, BatchingOptions())
    assert not pricer.seen


def test_a_step_without_progress_or_better_than_its_bound_is_refused():
    with pytest.raises(EngineError, match="cannot make progress"):
        PricedStep(time_ps=0, bound_ps=0, fidelity="analytic")
    with pytest.raises(EngineError, match="less than its bound"):
        PricedStep(time_ps=5, bound_ps=6, fidelity="analytic")
    with pytest.raises(EngineError, match="gpu is busy for 7 ps of a step of 5 ps"):
        PricedStep(time_ps=5, bound_ps=1, fidelity="analytic", parts_ps={"gpu": 7})
