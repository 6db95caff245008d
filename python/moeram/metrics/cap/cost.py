"""What a token costs: hardware over its working life and energy while it runs (moe_cap.md 3 and 10)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from moeram.errors import ConfigError
from moeram.metrics.table import Table
from moeram.options import Options

_HOURS_PER_YEAR = 365.25 * 24
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class CostOptions(Options):
    """Prices that no config of the hardware states.

    gpu_price_usd: of one GPU, instead of the config's. memory_price_usd: of all chips or stacks beside it that are no part of its price.
    running_years: amortisation, day and night. Sources: moe_cap.md 3 (CPU, kWh; code) and 10 (the rest; assumptions).
    """

    gpu_price_usd: Positive | None = None
    memory_price_usd: NotNegative | None = None
    cpu_price_usd: NotNegative = 7214.0  # source: moe_cap.md 3 (code)
    cpu_power_w: NotNegative = 350.0  # source: moe_cap.md 3 (code)
    board_price_usd: NotNegative = 1000.0  # assumption: moe_cap.md 10
    dram_gb: NotNegative = 512.0  # assumption: a server of this class
    dram_usd_per_gb: NotNegative = 4.0  # assumption: moe_cap.md 10
    ssd_gb: NotNegative = 4000.0  # assumption: a server of this class
    ssd_usd_per_gb: NotNegative = 0.1  # assumption: moe_cap.md 10
    usd_per_kwh: NotNegative = 0.15  # source: moe_cap.md 3 (code)
    running_years: Positive = 3.0  # assumption: moe_cap.md 10


def cost_table(
    options: CostOptions,
    *,
    gpus: int,
    gpu_name: str,
    gpu_price_usd: float | None,
    memory: str | None,
    tokens_per_s: float,
    energy_per_token_j: float,
) -> Table:
    """Return a table of one row: hardware, power and cost per million tokens.

    Args:
        gpu_price_usd: by the GPU's config. memory: name of memory that is no part of the GPU; its price must then be given.
        energy_per_token_j: of GPUs and memory; the CPU's is added.

    Raises:
        ConfigError: a price is not known; it is refused, never taken as 0.
    """
    price = options.gpu_price_usd or gpu_price_usd
    if price is None:
        raise ConfigError(f"the price of {gpu_name} is not known; give it as cost.gpu_price_usd")
    if memory is not None and options.memory_price_usd is None:
        raise ConfigError(f"the price of {memory} is not known; give it as cost.memory_price_usd (0: part of the GPU)")
    host = options.cpu_price_usd + options.board_price_usd
    host += options.dram_gb * options.dram_usd_per_gb + options.ssd_gb * options.ssd_usd_per_gb
    hardware = gpus * price + (options.memory_price_usd or 0.0) + host
    life_s = options.running_years * _HOURS_PER_YEAR * 3600
    joules = energy_per_token_j + options.cpu_power_w / tokens_per_s
    energy_usd = joules / 3.6e6 * options.usd_per_kwh
    row = {
        "hardware_usd": hardware,
        "hardware_usd_per_million_tokens": hardware / life_s / tokens_per_s * 1e6,
        "energy_per_token_j": joules,
        "energy_usd_per_million_tokens": energy_usd * 1e6,
        "usd_per_million_tokens": (hardware / life_s / tokens_per_s + energy_usd) * 1e6,
    }
    return Table.from_rows("cost", [row], list(row))
