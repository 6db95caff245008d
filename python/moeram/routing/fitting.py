"""Fit the synthetic generator to a recording, and say how far each statistic of the result is off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from moeram.errors import TraceError
from moeram.routing.generator import GeneratorOptions, synthetic_trace
from moeram.routing.recording import PassTrace, Recording, RoutingTrace
from moeram.routing.summary import RoutingStatistics, summarise

_MOST_REQUESTS, _MOST_TOKENS = 96, 512
_ROUNDS, _TRIES = 3, 3
_LRU = 16
_MOST_SIGMA = 3.0


@dataclass(frozen=True, kw_only=True)
class FitError:
    """One statistic: its value in the recording and in the fitted trace (means over layers); None if it is undefined."""

    statistic: str
    recorded: float | None
    fitted: float | None
    unit: str
    reason: str = ""

    @property
    def error(self) -> float | None:
        """Fitted less recorded."""
        return None if self.recorded is None or self.fitted is None else self.fitted - self.recorded


@dataclass(frozen=True, kw_only=True)
class RoutingFit:
    """A generator fitted to a recording.

    Args:
        options: Parameters of the generator.
        weights: Logarithm of the weights by topic, layer and expert, from the recorded use.
        errors: Every statistic of the recording beside that of the fitted trace.
        recorded, fitted: All statistics of both.
        trace: The fitted trace, with as many requests and tokens as the fit compared.
    """

    options: GeneratorOptions
    weights: np.ndarray
    errors: tuple[FitError, ...]
    recorded: RoutingStatistics
    fitted: RoutingStatistics
    trace: RoutingTrace


def fit(recording: Recording, *, seed: int = 0) -> RoutingFit:
    """Fit popularity and topics to the recorded use, and three parameters of locality one after the other.

    ``repeat`` is set so that the share of experts used again by the next token agrees, ``request_sigma`` so that the hit
    rate of a cache of 16 experts does, ``cross_layer`` so that the coverage from layer to layer does; each by a few secant
    steps on a trace of the recording's size (at most 96 requests of 512 tokens). After each of three rounds the weights are
    corrected by the recorded over the fitted use; the best round counts. Whatever the recording does not tell stays 0.

    Raises:
        TraceError: The recording is damaged or holds no use of single experts.
    """
    if isinstance(recording, PassTrace):
        raise TraceError(f"{recording.place}: a {recording.format} recording names no experts; there is nothing to fit")
    recorded = summarise(recording, seed=seed)
    shape = replace(recording.shape, moe_layers=recording.layers)
    weights = fitted_weights(recorded.scope_usage(), shape.top_k)
    options = _size(recording, recorded, len(weights))

    def made(changed: GeneratorOptions) -> RoutingStatistics:
        return summarise(synthetic_trace(shape, changed, seed=seed, weights=weights), seed=seed)

    targets = _targets(recorded, shape.experts)
    fitted = made(options)
    best = (_miss(targets, recorded, fitted), options, weights, fitted)
    for _ in range(_ROUNDS if targets else 0):
        for name, most, value in targets:
            options = _matched(options, name, most, value(recorded), lambda o, value=value: value(made(o)))
        weights = weights + _correction(recorded, made(options))
        fitted = made(options)
        best = min(best, (_miss(targets, recorded, fitted), options, weights, fitted), key=lambda found: found[0])
    _, options, weights, fitted = best
    return RoutingFit(
        options=options,
        weights=weights,
        errors=tuple(_errors(recorded, fitted)),
        recorded=recorded,
        fitted=fitted,
        trace=synthetic_trace(shape, options, seed=seed, weights=weights),
    )


def fitted_weights(usage: np.ndarray, top_k: int) -> np.ndarray:
    """Logarithm of weights whose Gumbel top-k use is about ``usage`` [topics, layers, experts].

    The ``top_k`` earliest of exponential arrivals with rates w have arrived by a time that hardly varies, so an expert is used
    with probability p = 1 - exp(-w t), w = -log(1 - p) / t. Half a selection is added to each count.
    """
    smooth = usage + 0.5
    chance = np.minimum(top_k * smooth / smooth.sum(axis=-1, keepdims=True), 0.9995)
    return np.log(-np.log1p(-chance)) if top_k > 1 else np.log(chance)


def _miss(targets: list, recorded: RoutingStatistics, fitted: RoutingStatistics) -> float:
    """How far the fitted statistics and the use of experts are off, all in shares."""
    return sum(abs(value(recorded) - value(fitted)) for _, _, value in targets) + _use_error(recorded, fitted).fitted


def _correction(recorded: RoutingStatistics, fitted: RoutingStatistics) -> np.ndarray:
    """What to add to the logarithm of the weights, [layers, experts]: the recorded use over the fitted one."""
    shares = []
    for usage in _use(recorded), _use(fitted):
        smooth = usage + 0.5
        shares.append(smooth / smooth.sum(axis=1, keepdims=True))
    return np.log(shares[0] / shares[1])


def _use(found: RoutingStatistics) -> np.ndarray:
    return found.scope_usage().sum(axis=0)


def _size(recording: Recording, recorded: RoutingStatistics, topics: int) -> GeneratorOptions:
    if recorded.tokens is None or not recorded.requests:
        return GeneratorOptions(topics=topics, requests=64, decode_tokens=128)
    prompt = recorded.tokens["prefill"] / recorded.requests if recorded.scope == "decode" else 0.0
    scope = recorded.tokens["decode"] if recorded.scope == "decode" else sum(recorded.tokens.values())
    return GeneratorOptions(
        topics=topics,
        requests=min(recorded.requests, _MOST_REQUESTS),
        prompt_tokens=min(round(prompt), _MOST_TOKENS),
        decode_tokens=max(min(round(scope / recorded.requests), _MOST_TOKENS), 1),
    )


def _targets(
    recorded: RoutingStatistics, experts: int
) -> list[tuple[str, float, Callable[[RoutingStatistics], float]]]:
    """Parameter, its largest value and the statistic that it is fitted by."""
    found: list[tuple[str, float, Callable[[RoutingStatistics], float]]] = []
    if recorded.same_expert_next is not None:
        found.append(("repeat", 0.99, lambda s: float(s.same_expert_next.mean())))
    if _LRU in (recorded.lru_hit_rate or {}) and experts > _LRU:
        found.append(("request_sigma", _MOST_SIGMA, lambda s: float(s.lru_hit_rate[_LRU].mean())))
    if recorded.next_layer_coverage is not None:
        found.append(("cross_layer", 0.99, lambda s: float(np.nanmean(s.next_layer_coverage))))
    return found


def _matched(
    options: GeneratorOptions, name: str, most: float, target: float, value: Callable[[GeneratorOptions], float]
) -> GeneratorOptions:
    """``options`` with the parameter ``name`` in 0..``most`` at which ``value`` comes nearest to ``target``.

    The statistics grow with their parameter, so a bracket is kept and cut by interpolation (regula falsi).
    """

    def at(parameter: float) -> tuple[GeneratorOptions, float]:
        changed = options.model_copy(update={name: round(float(parameter), 4)})
        return changed, value(changed) - target

    low, high = 0.0, most
    best, low_miss = at(low)
    miss = low_miss
    if low_miss >= 0:
        return best
    top, high_miss = at(high)
    if abs(high_miss) < abs(miss):
        best, miss = top, high_miss
    for _ in range(_TRIES):
        if high_miss <= 0:
            break
        middle = low + (high - low) * min(max(-low_miss / (high_miss - low_miss), 0.1), 0.9)
        candidate, here = at(middle)
        if abs(here) < abs(miss):
            best, miss = candidate, here
        if here < 0:
            low, low_miss = middle, here
        else:
            high, high_miss = middle, here
    return best


def _errors(recorded: RoutingStatistics, fitted: RoutingStatistics) -> list[FitError]:
    found = [_use_error(recorded, fitted)]
    for name, unit in _COMPARED.items():
        one, other = getattr(recorded, name), getattr(fitted, name)
        reason = recorded.undefined.get(name) or fitted.undefined.get(name) or ""
        values = [
            None if array is None or not np.isfinite(array).any() else float(np.nanmean(array))
            for array in (one, other)
        ]
        found.append(FitError(statistic=name, recorded=values[0], fitted=values[1], unit=unit, reason=reason))
    for name, unit in (("lru_hit_rate", "share"), ("distinct_experts", "experts")):
        found += _by_key(recorded, fitted, name, unit)
    found += _load_errors(recorded, fitted)
    return found


_COMPARED = {
    "skew": "max / mean",
    "topic_skew": "max / mean",
    "pair_top_share": "share",
    "same_expert_next": "share",
    "next_token_coverage": "share",
    "next_layer_coverage": "share",
    "prefill_decode_correlation": "Spearman",
}


def _use_error(recorded: RoutingStatistics, fitted: RoutingStatistics) -> FitError:
    """Share of the selections that would have to move from one expert to another, mean over layers."""
    shares = [usage / usage.sum(axis=1, keepdims=True) for usage in (_use(recorded), _use(fitted))]
    moved = float(np.abs(shares[0] - shares[1]).sum(axis=1).mean() / 2)
    return FitError(statistic="use of experts (moved share)", recorded=0.0, fitted=moved, unit="share")


def _by_key(recorded: RoutingStatistics, fitted: RoutingStatistics, name: str, unit: str) -> list[FitError]:
    one, other = getattr(recorded, name), getattr(fitted, name)
    if one is None:
        return [
            FitError(statistic=name, recorded=None, fitted=None, unit=unit, reason=recorded.undefined.get(name, ""))
        ]
    return [
        FitError(
            statistic=f"{name} {key}",
            recorded=float(one[key].mean()),
            fitted=float(other[key].mean()) if other and key in other else None,
            unit=unit,
            reason=""
            if other and key in other
            else fitted.undefined.get(f"batch {key}", "not measured in the fitted trace"),
        )
        for key in one
    ]


def _load_errors(recorded: RoutingStatistics, fitted: RoutingStatistics) -> list[FitError]:
    if recorded.load_shares is None:
        reason = recorded.undefined.get("load_shares", "")
        return [FitError(statistic="load_shares", recorded=None, fitted=None, unit="share", reason=reason)]
    found = []
    for batch, shares in recorded.load_shares.items():
        other = (fitted.load_shares or {}).get(batch)
        for i, label in enumerate(("1", "2", "3-4", "more")):
            fitted_share = None if other is None else float(np.nanmean(other[i]))
            found.append(
                FitError(
                    statistic=f"experts with {label} tokens, batch {batch}",
                    recorded=float(np.nanmean(shares[i])),
                    fitted=fitted_share,
                    unit="share",
                    reason="" if other is not None else fitted.undefined.get(f"batch {batch}", "not measured"),
                )
            )
    return found
