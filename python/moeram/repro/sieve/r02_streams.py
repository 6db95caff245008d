"""R2: the greatest rates of one GPU's memory on the engine, refresh included: a stream of reads, and multiplications in all banks."""

from __future__ import annotations

from functools import lru_cache

from moeram.hardware.pim_memory import PimMemory
from moeram.hardware.pim_programs import Program, run_program
from moeram.repro.target import Found, Setting, Target

_ROWS = 400
_BANK_GROUPS, _BANKS_OF_GROUP = 6, 4


@lru_cache(maxsize=64)
def _rates(setting: Setting) -> tuple[float, float]:
    memory: PimMemory = setting.config("memories/hbm3e_pim")
    lines = [
        f"MEM RD 0 {(2 * pair + group) * _BANKS_OF_GROUP + bank} {row}"
        for row in range(_ROWS // 20)
        for bank in range(_BANKS_OF_GROUP)
        for pair in range(_BANK_GROUPS // 2)
        for _ in range(memory.row_bytes // memory.column_bytes)
        for group in range(2)
    ]
    external = run_program(memory, "\n".join([*lines, "PIM END", ""]))
    program = Program(memory)
    program.open(0)
    columns = _ROWS * memory.row_bytes // memory.column_bytes
    program.multiply(columns)
    inside = run_program(memory, program.end())
    return (
        _tb_per_s(memory, len(lines), external["memory_system_cycles"]),
        _tb_per_s(memory, columns * memory.banks_per_pseudochannel, inside["memory_system_cycles"]),
    )


def _tb_per_s(memory: PimMemory, transfers: int, cycles: int) -> float:
    return transfers * memory.column_bytes * memory.channels / (cycles * memory.tck_ps)


def evaluate(setting: Setting) -> dict[str, Found]:
    """Return both rates of a GPU; the bound is the peak less refresh."""
    memory: PimMemory = setting.config("memories/hbm3e_pim")
    external, inside = _rates(setting)
    port = memory.channels * memory.column_bytes / (memory.nccd_s * memory.tck_ps)
    return {
        "external_tb_per_s": Found(ours=external, fidelity="cycle", bound=port * memory.awake),
        "all_bank_mac_tb_per_s": Found(ours=inside, fidelity="cycle", bound=memory.peak_bytes_per_ps * memory.awake),
    }


TARGET = Target(id="R2", parameters=("mac_spacing_cycles", "dual_row_buffer"), evaluate=evaluate)
