"""R11: Llama-4-Scout on XL over four H100, batches of 1 to 32, lengths of 256 to 4096."""

from __future__ import annotations

from moeram.repro.stratum.decode import DECODE, READINGS, of_gpus, of_stratum, over_gpus
from moeram.repro.target import Found, Setting, Target

_CASE = "llama4"
_BATCHES, _LENGTHS = (1, 2, 4, 8, 16, 32), (256, 1024, 4096)


def table(
    setting: Setting, batches: tuple[int, ...] = _BATCHES, lengths: tuple[int, ...] = _LENGTHS
) -> dict[tuple[int, int], float]:
    """Return the gain in throughput by (batch, length)."""
    return {
        (batch, length): of_stratum(setting, _CASE, batch, length).tokens_per_s
        / of_gpus(setting, _CASE, batch, length).tokens_per_s
        for batch in batches
        for length in lengths
    }


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return least and greatest gain at the four corners, and whether it is less for the largest batch than for one request."""
    batches, lengths = (_BATCHES[0], _BATCHES[-1]), (_LENGTHS[0], _LENGTHS[-1])
    gains = table(setting, batches, lengths)
    falls = all(gains[batches[1], length] < gains[batches[0], length] for length in lengths)
    return {
        "speedup_least": over_gpus(setting, _CASE, min(gains.values())),
        "speedup_most": over_gpus(setting, _CASE, max(gains.values())),
        "falls_with_batch": over_gpus(setting, _CASE, falls),
    }


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return all points."""
    return {
        "speedup_most": {f"batch {batch}, {length} tokens": gain for (batch, length), gain in table(setting).items()}
    }


TARGET = Target(
    id="R11", parameters=DECODE, readings=READINGS, evaluate=evaluate, beside=beside,
    note="least and most are those of the four corners",
)
