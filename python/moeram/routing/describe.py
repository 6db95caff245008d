"""Statistics of routing as plain values, for JSON and tables."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from moeram.routing.batches import BIN_NAMES
from moeram.routing.fitting import RoutingFit
from moeram.routing.locality import top_pairs
from moeram.routing.recording import CountTrace, PassTrace, Recording
from moeram.routing.summary import RoutingStatistics

_BY_LAYER = (
    "skew",
    "topic_skew",
    "pair_top_share",
    "same_expert_next",
    "next_token_coverage",
    "next_layer_coverage",
    "prefill_decode_correlation",
)
_TOP_PAIRS = 10
_BY_KEY = {"lru_hit_rate": "experts in the cache", "distinct_experts": "batch"}


def statistics_dict(found: RoutingStatistics) -> dict[str, Any]:
    """All statistics as plain values: per layer and as a mean; undefined ones are None with their reason.

    If some (not all) layers send nearly all tokens to one expert, there is also a mean without them.
    """
    result: dict[str, Any] = {
        "place": found.place,
        "format": found.format,
        "model": found.shape.name,
        "experts": found.shape.experts,
        "top_k": found.shape.top_k,
        "layers": list(found.layers),
        "collapsed_layers": [layer for layer, _, _ in found.dominant or ()],
        "scope": found.scope,
        "topics": list(found.topics),
        "tokens": found.tokens,
        "requests": found.requests,
        "sampled_requests": found.sampled_requests,
        "selections": None if found.usage is None else float(found.usage.sum()),
    }
    kept = found.kept_layers()

    def values(by_layer: np.ndarray | None) -> dict[str, Any] | None:
        return _values(by_layer, kept)

    for name in _BY_LAYER:
        result[name] = values(getattr(found, name))
    for name in _BY_KEY:
        table = getattr(found, name)
        result[name] = None if table is None else {str(key): values(by_layer) for key, by_layer in table.items()}
    result["load_shares"] = None
    if found.load_shares is not None:
        result["load_shares"] = {
            str(batch): dict(zip(BIN_NAMES, map(values, shares), strict=True))
            for batch, shares in found.load_shares.items()
        }
    result["co_activation"] = _pairs(found)
    result["dominant"] = None
    if found.dominant is not None:
        result["dominant"] = [{"layer": layer, "expert": e, "share": share} for layer, e, share in found.dominant]
    result["usage"] = None
    if found.usage is not None:
        result["usage"] = {topic: found.scope_usage_of(i).tolist() for i, topic in enumerate(found.topics)}
    result["undefined"] = dict(found.undefined)
    result["notes"] = list(found.notes)
    return result


def _pairs(found: RoutingStatistics) -> dict[str, list[dict[str, Any]]] | None:
    """The most frequent pairs of experts of each layer; all pairs are in ``found.co_activation``."""
    if found.co_activation is None:
        return None
    return {
        str(layer): [
            {"experts": [a, b], "tokens": tokens, "lift": lift}
            for a, b, tokens, lift in top_pairs(counts, found.shape.top_k, _TOP_PAIRS)
        ]
        for layer, counts in zip(found.layers, found.co_activation, strict=True)
    }


def statistics_columns(found: RoutingStatistics) -> tuple[str, ...]:
    """Headings of ``statistics_rows``."""
    collapsed = ", ".join(str(layer) for layer, _, _ in found.dominant or ())
    several = "s" if "," in collapsed else ""
    return (
        "statistic",
        "mean over layers",
        *([f"without layer{several} {collapsed}"] if collapsed else []),
        "range or reason",
    )


def statistics_rows(found: RoutingStatistics) -> list[tuple[str, ...]]:
    """(statistic, mean over layers[, mean without collapsed layers], range over layers) as text.

    An undefined statistic says why instead of its range.
    """
    kept, narrow = found.kept_layers(), not found.dominant

    def row(name: str, by_layer: np.ndarray | None, reason: str = "") -> tuple[str, ...]:
        mean, without, spread = _texts(by_layer, kept, reason)
        return (name, mean, spread) if narrow else (name, mean, without, spread)

    words = {name: name.replace("_", " ") for name in (*_BY_LAYER, *_BY_KEY)}
    rows = [row(words[name], getattr(found, name), found.undefined.get(name, "")) for name in _BY_LAYER]
    for name, what in _BY_KEY.items():
        table = getattr(found, name)
        if table is None:
            rows.append(row(words[name], None, found.undefined.get(name, "")))
        rows += [row(f"{words[name]}, {what} {key}", by_layer) for key, by_layer in (table or {}).items()]
    for batch, shares in (found.load_shares or {}).items():
        means = [_joined(_mean(share) for share in shares), _joined(_mean_of(share, kept) for share in shares)]
        rows.append((f"used experts with {' / '.join(BIN_NAMES)} tokens, batch {batch}", *means[: 2 - narrow], ""))
    if found.load_shares is None:
        rows.append(row("tokens per used expert", None, found.undefined.get("load_shares", "")))
    rows += [row(name, None, why) for name, why in found.undefined.items() if name.startswith(("batch ", "cache of "))]
    return rows


def _joined(means: Iterable[float | None]) -> str:
    return " / ".join("-" if mean is None else f"{mean:.3f}" for mean in means)


def fit_dict(found: RoutingFit) -> dict[str, Any]:
    """The fitted options and the error of every statistic as plain values."""
    return {
        "options": found.options.model_dump(mode="json"),
        "errors": [
            {
                "statistic": error.statistic,
                "recorded": error.recorded,
                "fitted": error.fitted,
                "error": error.error,
                "unit": error.unit,
                "reason": error.reason,
            }
            for error in found.errors
        ],
        "recorded": {
            "place": found.recorded.place,
            "requests": found.recorded.requests,
            "tokens": found.recorded.tokens,
        },
    }


def check_recording(recording: Recording) -> dict[str, Any]:
    """Read all of ``recording`` against its rules and say what it holds.

    Raises:
        TraceError: The first broken rule, with file and place.
    """
    facts: dict[str, Any] = {"place": recording.place, "format": recording.format, "kind": recording.kind}
    if isinstance(recording, PassTrace):
        return facts | {"passes": len(recording.tokens)}
    if isinstance(recording, CountTrace):
        return facts | {
            "entries": sum(len(chunk.counts) for chunk in recording.chunks()),
            "layers": len(recording.layers),
        }
    tokens = selections = 0
    for chunk in recording.chunks():
        tokens += len(chunk)
        selections += int((chunk.experts >= 0).sum())
    return facts | {"tokens": tokens, "selections": selections, "layers": len(recording.layers)}


def _values(array: np.ndarray | None, kept: np.ndarray) -> dict[str, Any] | None:
    if array is None:
        return None
    found = {"mean": _mean(array), "by_layer": [None if math.isnan(value) else float(value) for value in array]}
    if kept.any() and not kept.all():
        found["mean_without_collapsed"] = _mean_of(array, kept)
    return found


def _mean(array: np.ndarray) -> float | None:
    return float(np.nanmean(array)) if np.isfinite(array).any() else None


def _mean_of(array: np.ndarray, kept: np.ndarray) -> float | None:
    """Mean over the layers that are ``kept``; of an array of pairs of layers, over those of two such layers."""
    return _mean(array[kept if len(array) == len(kept) else kept[:-1] & kept[1:]])


def _texts(array: np.ndarray | None, kept: np.ndarray, reason: str) -> tuple[str, str, str]:
    """Mean, mean without collapsed layers, range or reason."""
    if array is None or not np.isfinite(array).any():
        return "undefined", "", reason
    return (
        f"{np.nanmean(array):.3f}",
        _joined([_mean_of(array, kept)]),
        f"{np.nanmin(array):.3f} .. {np.nanmax(array):.3f}",
    )
