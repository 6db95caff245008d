"""Limits that no request can meet, by the peaks of the hardware, are refused before anything is served."""

from __future__ import annotations

import numpy as np

from moeram.errors import ConfigError
from moeram.experiment.serving_options import ServingExperiment
from moeram.serving import Requests, Step, StepPricer

_PS_PER_MS = 1e9


def check_limits(experiment: ServingExperiment, requests: Requests, pricer: StepPricer) -> tuple[str, ...]:
    """Refuse limits below the bound of the least step there is; return notes of such limits that come from a shipped file or a default.

    That step passes one token through its top-k experts, dealt out as evenly as can be: every step that yields a token moves and computes at
    least as much. Whatever kernels, schedule and batching make of it, no time is below its bound. Measured tables know no bound.

    Args:
        pricer: of its own, with `FewestExperts`.

    Raises:
        ConfigError: names every such limit with the bound.
    """
    if experiment.limits.impossible == "serve" or experiment.measured:
        return ()
    complaints, notes = [], []
    for name, (least_ms, what) in least_ms_by_limit(experiment, requests, pricer).items():
        limit_ms = getattr(experiment.limits, name)
        if limit_ms >= least_ms:
            continue
        why = f"the bound by the peaks of {experiment.system} is {least_ms:.4g} ms ({what}); no request can meet it"
        if name in experiment.limits.model_fields_set:
            complaints.append(f"limits.{name}: given {limit_ms:g}, but {why} (limits.impossible: serve runs it all the same)")
        else:
            notes.append(f"limits.{name}: {limit_ms:g} where nobody gives another, but {why}")
    if complaints:
        raise ConfigError("\n".join(complaints))
    return tuple(notes)


def least_ms_by_limit(experiment: ServingExperiment, requests: Requests, pricer: StepPricer) -> dict[str, tuple[float, str]]:
    """Return by limit what no request undercuts (ms), and what that is the bound of; requests of one token have no TPOT and meet its limit."""
    least = {"ttft_ms": (pricer.price(_one_token(prompt=True)).bound_ps / _PS_PER_MS, "a prompt of one token")}
    if requests.output_tokens.min() > 1:
        # A step yields no more than all its guesses and one, nor more than is left of an answer.
        most = min(1 + experiment.batching.draft_tokens, int(requests.output_tokens.max()) - 1)
        what = "a step of one token" if most == 1 else f"a step of one token, shared by {most}"
        least["tpot_ms"] = pricer.price(_one_token(prompt=False)).bound_ps / most / _PS_PER_MS, what
    return least


def _one_token(*, prompt: bool) -> Step:
    one, none = np.ones(1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    first = np.zeros(1, dtype=np.int64)
    decode, prefill = (none, first) if prompt else (first, none)
    return Step(
        decode=decode,
        context_tokens=one[: len(decode)],
        topic=decode,
        prefill=prefill,
        chunk_tokens=one[: len(prefill)],
        chunk_start=prefill,
        prefill_topic=prefill,
    )
