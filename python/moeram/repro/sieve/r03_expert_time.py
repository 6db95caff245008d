"""R3: time of one token's expert on the units over its roofline, on the engine."""

from __future__ import annotations

from functools import lru_cache

from moeram.hardware.pim_memory import PimMemory
from moeram.hardware.pim_programs import expert_program, run_program, token_ps_by_engine
from moeram.model import MoEModel
from moeram.repro.sieve.machines import CASES, plain_model, qwen3_next
from moeram.repro.target import Found, Setting, Target, not_testable

_CHOSEN = "the sheet chose the map of the weights (X8) because its closed form lies within the band: an assumption, no prediction"
_TOKENS = 16


def _models() -> dict[str, MoEModel]:
    return {**{key: plain_model(case.model) for key, case in CASES.items()}, "qwen3next": qwen3_next()}


@lru_cache(maxsize=256)
def _overhead(setting: Setting, key: str) -> float:
    memory: PimMemory = setting.config("memories/hbm3e_pim")
    return token_ps_by_engine(memory, _models()[key], _TOKENS) / memory.roofline_ps(_models()[key])


@lru_cache(maxsize=256)
def _second_over_first(setting: Setting, key: str) -> float:
    memory: PimMemory = setting.config("memories/hbm3e_pim")
    one, two = (
        run_program(memory, expert_program(memory, _models()[key], tokens), refresh=False)["memory_system_cycles"]
        for tokens in (1, 2)
    )
    return two / one


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return whether two tokens take other than twice one's time; the band was met by the choice of the map."""
    ratios = [_second_over_first(setting, key) for key in _models()]
    differ = all(ratio != 2 for ratio in ratios) and all(1.5 < ratio < 2.5 for ratio in ratios)
    return {
        **{f"{key}_in_band": not_testable(_CHOSEN) for key in _models()},
        "two_tokens_take_not_twice": Found(ours=differ, fidelity="cycle"),
    }


def beside(setting: Setting) -> dict[str, dict[str, float | str]]:
    """Return the overheads on the engine and by the closed form."""
    memory: PimMemory = setting.config("memories/hbm3e_pim")
    found: dict[str, dict[str, float | str]] = {}
    for key, model in _models().items():
        closed = memory.token_ps(model) / memory.roofline_ps(model)
        found[f"{key}_in_band"] = {"engine over roofline": _overhead(setting, key), "closed form over roofline": closed}
    found["two_tokens_take_not_twice"] = {key: _second_over_first(setting, key) for key in _models()}
    return found


TARGET = Target(
    id="R3", parameters=("mac_spacing_cycles", "dual_row_buffer", "layout"), evaluate=evaluate, beside=beside
)
