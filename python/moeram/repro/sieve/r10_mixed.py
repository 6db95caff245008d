"""R10: two prompts beside decoding, Qwen3 on one GPU."""

from __future__ import annotations

from moeram.repro.sieve.machines import SYSTEM, over, time_ps
from moeram.repro.target import Found, Setting, Target

_CASE, _PROMPTS, _BATCHES = "qwen3", 2, (16, 32)


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return Sieve over NoExp, and whether AllExp and PIMoE fall below NoExp at some batch."""

    def below(method: str) -> bool:
        return any(
            time_ps(setting, _CASE, method, batch, prompts=_PROMPTS)
            > time_ps(setting, _CASE, "noexp", batch, prompts=_PROMPTS)
            for batch in _BATCHES
        )

    gains = {batch: over(setting, _CASE, "noexp", batch, prompts=_PROMPTS) for batch in _BATCHES}
    return {
        **{f"sieve_over_noexp_b{batch}": Found(ours=gain) for batch, gain in gains.items()},
        "allexp_below_noexp": Found(ours=below("allexp")),
        "pimoe_below_noexp": Found(ours=below("pimoe")),
    }


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return Sieve over NoExp without prompts."""
    return {
        f"sieve_over_noexp_b{batch}": {"without prompts": over(setting, _CASE, "noexp", batch)} for batch in _BATCHES
    }


TARGET = Target(
    id="R10", parameters=SYSTEM, evaluate=evaluate, beside=beside,
    note="prompts as long as the mean context; two of them, as the paper's set-up allows (I4)",
)  # fmt: skip
