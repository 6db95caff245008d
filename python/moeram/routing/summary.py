"""Statistics of a recording, made in one pass over its stream and in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from moeram.errors import TraceError
from moeram.routing import locality
from moeram.routing.batches import BATCHES, BatchDraws, batch_statistics, load_bins
from moeram.routing.chunks import DECODE, PHASES, PREFILL
from moeram.routing.counting import UsageCounter, read_usage
from moeram.routing.recording import CountTrace, PassTrace, Recording, RoutingTrace
from moeram.routing.sample import SAMPLE_SELECTIONS, RequestSample, RequestTokens
from moeram.routing.shape import TraceShape
from moeram.routing.source import check_seed
from moeram.routing.statistics import dominant_experts, skew

LRU_CAPACITIES = (4, 8, 16, 32)
PAIR_SELECTIONS = 1 << 22
LRU_SELECTIONS = 1 << 19
LRU_TOKENS = 1 << 10  # of one request: what a cache holds then no longer depends on its start
DOMINANT_SHARE = 0.9
_TOKEN_STATISTICS = (
    "same_expert_next",
    "next_token_coverage",
    "next_layer_coverage",
    "co_activation",
    "prefill_decode_correlation",
    "lru_hit_rate",
)


@dataclass(frozen=True, kw_only=True)
class RoutingStatistics:
    """Statistics of a recording; what cannot be told is None, and ``undefined`` says why.

    All but ``usage``, ``tokens`` and the rank correlation are of decode tokens if the recording has any, else of all tokens
    (``scope``). Arrays over layers follow ``layers``.

    Args:
        place, format, shape, layers: Of the recording.
        scope: "decode", "all" or (counts) "counts".
        topics: Names, the first axis of ``usage``.
        tokens: Tokens per phase by name; None for counts.
        requests: Number of requests; None for counts.
        usage: Selections, float64 [topics, phases, layers, experts]; None if not recorded.
        skew: Largest over mean use of an expert, over all topics, [layers].
        topic_skew: The same within a topic, mean over topics weighted by selections, [layers].
        dominant: (layer id, expert, share of tokens) where one expert serves more than 90 % of the tokens.
        co_activation: Pairs of experts of one token, int64 [layers, experts, experts].
        pair_top_share: Share of all pairs that the most frequent 10 % of pairs hold, [layers].
        same_expert_next: Share of a token's experts that the next token uses again, [layers].
        next_token_coverage: Mass that the top 20 % of next-token candidates hold, [layers].
        next_layer_coverage: The same for the next layer of the same token, [layers - 1].
        prefill_decode_correlation: Spearman's correlation of prefill and decode use, [layers].
        lru_hit_rate: Hit rate by number of experts that a layer's cache holds, each [layers].
        distinct_experts: Different experts by batch, each [layers].
        load_shares: Share of used experts with 1, 2, 3-4 and more tokens by batch, each [4, layers].
        sampled_requests: Requests that the pair and batch statistics are of.
        undefined: Reason why a statistic is None, by its name.
        notes: Assumptions of the reader and anomalies.
    """

    place: str
    format: str
    shape: TraceShape
    layers: tuple[int, ...]
    scope: str
    topics: tuple[str, ...] = ()
    tokens: dict[str, int] | None = None
    requests: int | None = None
    usage: np.ndarray | None = None
    skew: np.ndarray | None = None
    topic_skew: np.ndarray | None = None
    dominant: list[tuple[int, int, float]] | None = None
    co_activation: np.ndarray | None = None
    pair_top_share: np.ndarray | None = None
    same_expert_next: np.ndarray | None = None
    next_token_coverage: np.ndarray | None = None
    next_layer_coverage: np.ndarray | None = None
    prefill_decode_correlation: np.ndarray | None = None
    lru_hit_rate: dict[int, np.ndarray] | None = None
    distinct_experts: dict[int, np.ndarray] | None = None
    load_shares: dict[int, np.ndarray] | None = None
    sampled_requests: int | None = None
    undefined: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def kept_layers(self) -> np.ndarray:
        """Which of ``layers`` do not send nearly all tokens to one expert, bool [layers]."""
        collapsed = {layer for layer, _, _ in self.dominant or ()}
        return np.array([layer not in collapsed for layer in self.layers], dtype=bool)

    def scope_usage(self) -> np.ndarray:
        """Selections of the scope, float64 [topics, layers, experts]; decode tokens or all."""
        assert self.usage is not None
        return self.usage[:, DECODE] if self.scope == "decode" else self.usage.sum(axis=1)

    def scope_usage_of(self, topic: int) -> np.ndarray:
        """The same of one topic, [layers, experts]."""
        return self.scope_usage()[topic]


def summarise(
    recording: Recording,
    *,
    batches: tuple[int, ...] = BATCHES,
    draws: int = 256,
    seed: int = 0,
    sample_selections: int = SAMPLE_SELECTIONS,
) -> RoutingStatistics:
    """Statistics of ``recording``.

    Use is counted over the whole stream. What needs tokens beside each other (pairs, caches, batches) is measured on a
    uniform sample of whole requests of at most ``sample_selections`` expert ids: all requests, if they fit.

    Args:
        recording: What ``open_trace`` returns.
        batches: Batch sizes.
        draws: Random batches per size.
        seed: Of the sample and the batches.
        sample_selections: Room for the sample, expert ids (2 bytes each).

    Raises:
        TraceError: The recording is damaged.
        ConfigError: ``seed`` is no whole number of 0 or more.
    """
    check_seed(seed)
    if isinstance(recording, PassTrace):
        return _of_passes(recording)
    if isinstance(recording, CountTrace):
        return _of_counts(recording)
    usage, sample, notes = read_usage(recording, seed=seed, sample_selections=sample_selections)
    return _of_tokens(recording, usage, sample, notes, batches, draws, seed)


def _of_tokens(
    trace: RoutingTrace,
    usage: UsageCounter,
    sample: RequestSample,
    notes: tuple[str, ...],
    batches: tuple[int, ...],
    draws: int,
    seed: int,
) -> RoutingStatistics:
    scope = "decode" if usage.tokens[DECODE] else "all"
    counts = usage.usage.astype(np.float64)
    scoped = counts[:, DECODE] if scope == "decode" else counts.sum(axis=1)
    requests, undefined = sample.requests(), {}
    found = {
        **_use_statistics(scoped, trace.layers, trace.shape.top_k),
        **_pairs(_first(requests, PAIR_SELECTIONS), trace, undefined),
        **_correlation(counts, undefined),
        **_batches(requests, trace.shape.experts, batches, draws, seed, undefined),
    }
    return RoutingStatistics(
        place=trace.place,
        format=trace.format,
        shape=trace.shape,
        layers=trace.layers,
        scope=scope,
        topics=usage.topics,
        tokens=dict(zip(PHASES, usage.tokens.tolist(), strict=True)),
        requests=len(sample.requests_seen),
        usage=counts,
        sampled_requests=len(requests),
        undefined=undefined,
        notes=(*notes, *_remarks(sample, len(requests), found["dominant"], scope)),
        **found,
    )


def _remarks(sample: RequestSample, sampled: int, dominant: list[tuple[int, int, float]], scope: str) -> list[str]:
    """What a record must say of the numbers: dominant experts and how the sample differs from the trace."""
    said = [f"layer {layer} sends {share:.2%} of the {scope} tokens to expert {e}" for layer, e, share in dominant]
    if sampled < len(sample.requests_seen):
        said.append(
            f"pairs, caches and batches are of {sampled} of {len(sample.requests_seen)} requests (seed {sample.seed})"
        )
    if sample.cut_requests:
        said.append(f"{sample.cut_requests} long request(s) of the sample were cut")
    return said


def _use_statistics(usage: np.ndarray, layers: tuple[int, ...], top_k: int) -> dict:
    """Skews and dominant experts of selections [topics, layers, experts]."""
    total = usage.sum(axis=0)
    weight = usage.sum(axis=(1, 2))
    used = weight > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        within = np.nan_to_num(skew(usage[used]))
        over_all = skew(total)
        dominant = dominant_experts(total / top_k, DOMINANT_SHARE / top_k)
    return {
        "skew": over_all,
        "topic_skew": np.average(within, axis=0, weights=weight[used]),
        "dominant": [(layers[i], expert, share * top_k) for i, expert, share in dominant],
    }


def _first(requests: list[RequestTokens], selections: int, most_tokens: int = 1 << 40) -> list[RequestTokens]:
    """As many first requests, cut to ``most_tokens``, as hold about ``selections`` ids; the last one is cut to fit."""
    result, size = [], 0
    for request in requests:
        room = min((selections - size) // request.experts[0].size, most_tokens)
        if room <= 0:
            break
        result.append(
            RequestTokens(token=request.token[:room], step=request.step[:room], experts=request.experts[:room])
        )
        size += result[-1].experts.size
    return result


def _pairs(requests: list[RequestTokens], trace: RoutingTrace, undefined: dict[str, str]) -> dict:
    experts, layers, top_k = trace.shape.experts, len(trace.layers), trace.shape.top_k
    found: dict = {}
    if not requests:
        reason = "no token has all layers recorded"
        undefined.update(dict.fromkeys((*_TOKEN_STATISTICS, "pair_top_share"), reason))
        return found
    tokens = np.concatenate([request.experts for request in requests])
    before, after = locality.successive(requests)
    if len(before):
        found["same_expert_next"] = locality.same_next(before, after)
        found["next_token_coverage"] = np.array(
            [locality.top_coverage(locality.pair_counts(before[:, i], after[:, i], experts)) for i in range(layers)]
        )
    else:
        reason = "no request has two successive tokens"
        undefined |= {"same_expert_next": reason, "next_token_coverage": reason}
    together = [i for i in range(layers - 1) if _adjacent(trace, i)]
    if together:
        coverage = np.full(layers - 1, np.nan)
        for i in together:
            coverage[i] = locality.top_coverage(locality.pair_counts(tokens[:, i], tokens[:, i + 1], experts))
        found["next_layer_coverage"] = coverage
    else:
        undefined["next_layer_coverage"] = "no two successive layers with experts were recorded"
    if top_k > 1:
        found["co_activation"] = np.stack([locality.together_counts(tokens[:, i], experts) for i in range(layers)])
        found["pair_top_share"] = np.array(
            [locality.pair_concentration(counts)[0] for counts in found["co_activation"]]
        )
    else:
        undefined |= dict.fromkeys(("co_activation", "pair_top_share"), "a token uses one expert of a layer")
    return found | _caches(requests, experts, top_k, undefined)


def _caches(requests: list[RequestTokens], experts: int, top_k: int, undefined: dict[str, str]) -> dict:
    """Hit rates of the caches that can hold the experts of one token."""
    capacities = tuple(capacity for capacity in LRU_CAPACITIES if capacity >= top_k)
    for capacity in LRU_CAPACITIES[: len(LRU_CAPACITIES) - len(capacities)]:
        undefined[f"cache of {capacity}"] = f"it cannot hold the {top_k} experts that a token uses"
    if not capacities:
        undefined["lru_hit_rate"] = f"no cache of {LRU_CAPACITIES[-1]} or less holds the {top_k} experts of a token"
        return {}
    hits = locality.lru_hit_rates(_first(requests, LRU_SELECTIONS, LRU_TOKENS), experts, capacities)
    return {"lru_hit_rate": dict(zip(capacities, hits, strict=True))}


def _adjacent(trace: RoutingTrace, index: int) -> bool:
    order = trace.shape.moe_layers
    return order.index(trace.layers[index + 1]) == order.index(trace.layers[index]) + 1


def _correlation(counts: np.ndarray, undefined: dict[str, str]) -> dict:
    prefill, decode = counts[:, PREFILL].sum(axis=0), counts[:, DECODE].sum(axis=0)
    if not prefill.any() or not decode.any():
        undefined["prefill_decode_correlation"] = "the recording does not hold both prefill and decode tokens"
        return {}
    pairs = zip(prefill, decode, strict=True)
    return {"prefill_decode_correlation": np.array([locality.rank_correlation(a, b) for a, b in pairs])}


def _batches(
    requests: list[RequestTokens],
    experts: int,
    batches: tuple[int, ...],
    draws: int,
    seed: int,
    undefined: dict[str, str],
) -> dict:
    if not requests:
        undefined |= dict.fromkeys(("distinct_experts", "load_shares"), "no token has all layers recorded")
        return {}
    source = BatchDraws(requests)
    distinct, shares = {}, {}
    for batch in batches:
        rng = np.random.default_rng([seed, batch])
        found = batch_statistics(source, experts, batch, draws, rng) if batch <= source.largest else None
        if found is None:
            what = "requests that reach a common step" if source.at_equal_step else "tokens"
            undefined[f"batch {batch}"] = f"there are no {batch} {what} in the sample of {len(requests)} requests"
        else:
            distinct[batch], shares[batch] = found
    return {"distinct_experts": distinct, "load_shares": shares}


def _of_counts(recording: CountTrace) -> RoutingStatistics:
    layers, experts, top_k = len(recording.layers), recording.shape.experts, recording.shape.top_k
    usage = np.zeros((0, len(PHASES), layers, experts))
    topics: tuple[str, ...] = ()
    seen: dict[int, list] = {}  # tokens of a pass -> number of passes, sum of distinct experts, bins
    for chunk in recording.chunks():
        if len(chunk.topics) > len(topics):
            more = np.zeros((len(chunk.topics) - len(topics), *usage.shape[1:]))
            usage, topics = np.concatenate([usage, more]), chunk.topics
        np.add.at(usage, (chunk.topic, chunk.phase), chunk.counts)
        if chunk.passes:
            for counts in chunk.counts:
                tokens = round(float(counts.sum(axis=1).max()) / top_k)
                entry = seen.setdefault(tokens, [0, np.zeros(layers), np.zeros((4, layers))])
                entry[0] += 1
                entry[1] += (counts > 0).sum(axis=1)
                entry[2] += load_bins(counts[None])
    reason = "counts do not tell which experts served one token, nor the order of tokens"
    undefined = dict.fromkeys((*_TOKEN_STATISTICS, "pair_top_share", "tokens", "requests", "sampled_requests"), reason)
    undefined["prefill_decode_correlation"] = "counts do not tell prefill from decode tokens"
    distinct = shares = None
    if seen:
        distinct = {tokens: total / count for tokens, (count, total, _) in sorted(seen.items()) if tokens}
        with np.errstate(invalid="ignore"):
            shares = {tokens: bins / bins.sum(axis=0) for tokens, (_, _, bins) in sorted(seen.items()) if tokens}
    else:
        undefined |= dict.fromkeys(("distinct_experts", "load_shares"), "the counts sum many passes; no batch is known")
    return RoutingStatistics(
        place=recording.place,
        format=recording.format,
        shape=recording.shape,
        layers=recording.layers,
        scope="counts",
        topics=topics,
        usage=usage,
        distinct_experts=distinct,
        load_shares=shares,
        undefined=undefined,
        notes=recording.notes,
        **_use_statistics(usage.sum(axis=1), recording.layers, top_k),
    )


def _of_passes(recording: PassTrace) -> RoutingStatistics:
    scope = "decode" if (recording.phase == DECODE).any() else "all"
    chosen = recording.phase == DECODE if scope == "decode" else np.ones(len(recording.phase), dtype=bool)
    tokens, distinct = recording.tokens[chosen], recording.distinct[chosen]
    if not len(tokens):
        raise TraceError(f"{recording.place}: no pass")
    reason = "only the number of different experts of each pass was recorded"
    names = ("usage", "skew", "topic_skew", "dominant", "load_shares", "pair_top_share", "tokens", "requests")
    return RoutingStatistics(
        place=recording.place,
        format=recording.format,
        shape=recording.shape,
        layers=(),
        scope=scope,
        distinct_experts={int(size): np.array([distinct[tokens == size].mean()]) for size in np.unique(tokens)},
        undefined=dict.fromkeys((*names, "sampled_requests", *_TOKEN_STATISTICS), reason),
        notes=recording.notes,
    )
