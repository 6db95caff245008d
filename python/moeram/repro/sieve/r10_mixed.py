"""R10: two prompts beside decoding, Qwen3 on one GPU."""

from __future__ import annotations

from moeram.repro.sieve.machines import STEP_READINGS, SYSTEM, found, over, time_ps
from moeram.repro.target import Found, Setting, Target
from moeram.repro.targets import Ours

_CASE, _PROMPTS, _BATCHES = "qwen3", 2, (16, 32)


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return Sieve over NoExp, and whether AllExp and PIMoE fall below NoExp at some batch."""

    def below(method: str) -> bool:
        return any(
            time_ps(setting, _CASE, method, batch, prompts=_PROMPTS)
            > time_ps(setting, _CASE, "noexp", batch, prompts=_PROMPTS)
            for batch in _BATCHES
        )

    ours: dict[str, Ours] = {
        f"sieve_over_noexp_b{batch}": over(setting, _CASE, "noexp", batch, prompts=_PROMPTS) for batch in _BATCHES
    }
    ours |= {"allexp_below_noexp": below("allexp"), "pimoe_below_noexp": below("pimoe")}
    return {name: found(setting, _CASE, value) for name, value in ours.items()}


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return Sieve over NoExp without prompts."""
    return {
        f"sieve_over_noexp_b{batch}": {"without prompts": over(setting, _CASE, "noexp", batch)} for batch in _BATCHES
    }


TARGET = Target(
    id="R10", parameters=SYSTEM, readings=STEP_READINGS, evaluate=evaluate, beside=beside,
    note="prompts as long as the mean context; two of them, as the paper's set-up allows (I4)",
)  # fmt: skip
