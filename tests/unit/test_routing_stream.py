"""Streaming: memory stays bounded, however long the trace is, and how it is cut into chunks changes nothing."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from moeram.routing import RoutingTrace, TraceShape, open_tokens, summarise, write_trace
from moeram.routing.chunks import DECODE, merged, token_chunk
from moeram.routing.sample import RequestSample

SHAPE = TraceShape(name="wide", layers=16, moe_layers=tuple(range(16)), experts=32, top_k=4)
TOKENS = 4096
MEGABYTE = 1 << 20


def long_trace(chunks, tokens=TOKENS):
    """``chunks`` chunks of 32 requests of 128 decode tokens; the ids of a chunk follow from its number."""
    ids = np.random.default_rng(0).random((tokens, 16, 32)).argpartition(4, axis=2)[:, :, :4].astype(np.int16)
    order = np.arange(tokens)

    def read():
        for number in range(chunks):
            yield token_chunk(
                (ids + number) % 32,
                request=number * (tokens // 128) + order // 128,
                token=order % 128,
                step=order % 128 + 1,
                phase=DECODE,
                place="long",
            )

    return RoutingTrace(place="long", format="made", shape=SHAPE, layers=SHAPE.moe_layers, read=read)


def peak_megabytes(action):
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1] / MEGABYTE
    finally:
        tracemalloc.stop()


def test_statistics_of_a_long_trace_need_no_more_memory_than_those_of_a_short_one():
    """240 chunks hold 63 million selections: 126 MB as int16 in memory, 0.5 GB as int64, 1.5 GB as JSON."""
    room = 1 << 21
    short, long = (
        peak_megabytes(lambda count=count: summarise(long_trace(count), sample_selections=room, batches=(4,), draws=8))
        for count in (40, 240)
    )
    assert long < 100
    assert long < 1.1 * short


def test_conversion_needs_bounded_memory(tmp_path):
    path = tmp_path / "t.parquet"
    short, long = (peak_megabytes(lambda count=count: write_trace(long_trace(count), path)) for count in (16, 64))
    assert long < 100 and long < 1.2 * short

    def read():
        assert sum(chunk.experts.size for chunk in open_tokens(path, SHAPE).chunks()) == 64 * TOKENS * 64

    assert peak_megabytes(read) < 100


def cut(trace, size):
    """The same trace in chunks of ``size`` tokens."""

    def read():
        for chunk in trace.read():
            for begin in range(0, len(chunk), size):
                yield chunk.part(begin, begin + size)

    return RoutingTrace(place="cut", format="made", shape=trace.shape, layers=trace.layers, read=read)


def interleaved(trace):
    """The same tokens, all requests side by side: as a server with continuous batching would log them."""
    chunk = next(merged(trace.read(), 1 << 40))
    order = np.argsort(chunk.token, kind="stable")

    def read():
        names = ("request", "token", "step", "phase", "topic")
        columns = {name: getattr(chunk, name)[order] for name in names}
        yield token_chunk(chunk.experts[order], topics=chunk.topics, place="mixed", **columns)

    return RoutingTrace(place="mixed", format="made", shape=trace.shape, layers=trace.layers, read=read)


@pytest.mark.parametrize("change", [lambda trace: cut(trace, 100), lambda trace: cut(interleaved(trace), 77)])
def test_how_a_trace_is_cut_changes_no_statistic(change):
    trace = long_trace(2, tokens=512)
    one, other = summarise(trace, batches=(2, 4), draws=16), summarise(change(trace), batches=(2, 4), draws=16)
    assert np.array_equal(one.usage, other.usage) and one.tokens == other.tokens and one.requests == other.requests == 8
    for name in ("same_expert_next", "next_token_coverage", "next_layer_coverage", "co_activation"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("lru_hit_rate", "distinct_experts", "load_shares"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert all(np.array_equal(mine[key], theirs[key]) for key in mine), name


def test_merged_chunks_hold_the_same_tokens():
    trace = cut(long_trace(2, tokens=512), 3)
    chunks = list(merged(trace.read(), selections=64 * 100))
    assert {len(chunk) for chunk in chunks[:-1]} <= {100, 101, 102}
    whole = np.concatenate([chunk.experts for chunk in trace.read()])
    assert np.array_equal(np.concatenate([chunk.experts for chunk in chunks]), whole)


def test_the_sample_is_of_whole_requests_and_uniform():
    trace = long_trace(16, tokens=1024)
    kept = []
    for seed in range(40):
        sample = RequestSample(seed=seed, selections=20 * 128 * 64)
        for chunk in trace.chunks():
            sample.add(chunk)
        requests = sample.requests()
        assert sample.size <= 20 * 128 * 64 and len(requests) >= 19 and len(sample.requests_seen) == 128
        assert all(np.array_equal(request.token, np.arange(128)) for request in requests)
        kept.append(sorted(number for _, number in sample._heap))
    counts = np.bincount(np.concatenate(kept), minlength=128)
    assert counts.max() < 20 and (counts[:64].sum() / counts.sum()) == pytest.approx(0.5, abs=0.1)
    assert kept[0] != kept[1]


def test_a_request_larger_than_the_sample_is_cut():
    trace = long_trace(1, tokens=128)
    found = summarise(trace, sample_selections=64 * 80, batches=(4,), draws=8)
    assert found.sampled_requests == 1 and any("were cut" in note for note in found.notes)
    assert found.usage.sum() == 128 * 64, "use is counted over the whole trace all the same"
