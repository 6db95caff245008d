"""Limits that no request can meet are refused before anything is served."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from moeram.errors import ConfigError
from moeram.experiment.serving_options import ServingExperiment
from moeram.serving import Requests, StepPricer, serve

# Requests that are served alone, one after the other, and steps of each behind its prompt; the least time counts.
_TRIED, _STEPS = 2, 2
_PS_PER_MS = 1e9


def check_limits(experiment: ServingExperiment, requests: Requests, pricer: StepPricer) -> None:
    """Refuse limits below what a request takes that has the system to itself: the shortest prompt, every drafted token right.

    Requests of one token have no TPOT and meet its limit.

    Args:
        pricer: of its own, it may learn from what it prices.

    Raises:
        ConfigError: names every such limit with the least time found.
    """
    if experiment.limits.impossible == "serve":
        return
    prompt = int(requests.prompt_tokens.min())
    least = _least_ms(experiment, requests, pricer, prompt)
    whose = {"ttft_ms": f"the shortest prompt ({prompt} tokens) alone takes", "tpot_ms": "a token of one request alone takes"}
    complaints = [
        f"limits.{name}: given {getattr(experiment.limits, name):g}, but {whose[name]} {least_ms:.4g} ms on {experiment.system}; "
        "no request can meet it (limits.impossible: serve runs it all the same)"
        for name, least_ms in least.items()
        if getattr(experiment.limits, name) < least_ms
    ]
    if complaints:
        raise ConfigError("\n".join(complaints))


def _least_ms(experiment: ServingExperiment, requests: Requests, pricer: StepPricer, prompt_tokens: int) -> dict[str, float]:
    """Return the least time to first token and per token of requests that are served one at a time."""
    each = 1 + experiment.batching.draft_tokens
    alone = requests.first(min(_TRIED, len(requests))).capped(prompt_tokens, 1 + _STEPS * each)
    alone = replace(alone, arrival_ps=np.zeros(len(alone), dtype=np.int64))
    batching = experiment.batching.model_copy(update={"policy": "continuous", "max_requests": 1, "acceptance": 1.0})
    record = serve(alone, pricer, batching, seed=experiment.seed)
    least = {"ttft_ms": float((record.first_token_ps - record.admitted_ps).min()) / _PS_PER_MS}
    decoding = record.steps["time_ps"][record.steps["decode_requests"] > 0]
    if requests.output_tokens.min() > 1:
        least["tpot_ms"] = float(decoding.min()) / each / _PS_PER_MS
    return least
