"""The targets of the Sieve paper, one file each."""

from __future__ import annotations

from moeram.repro.sieve import (
    r01_routing,
    r02_streams,
    r03_expert_time,
    r04_scheduler,
    r05_qwen35,
    r06_gptoss,
    r07_qwen3,
    r08_shapes,
    r09_channels,
    r10_mixed,
)
from moeram.repro.target import Target

TARGETS: tuple[Target, ...] = tuple(
    module.TARGET
    for module in (
        r01_routing, r02_streams, r03_expert_time, r04_scheduler, r05_qwen35, r06_gptoss, r07_qwen3, r08_shapes, r09_channels, r10_mixed,
    )
)  # fmt: skip
# Models whose recorded routing some target reads: targets are of the sheet's fits.
ROUTED: tuple[str, ...] = ()
