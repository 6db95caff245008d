"""MoE layers on real GPUs: predicted from the timing of their memory, beside measured times. Nothing is fitted.

    python benchmarks/silicon.py --tables FOLDER [--csv silicon.csv] [--figure docs/figures/silicon.png]

FOLDER holds the measured tables h100_moe_*.parquet and b200_moe_*.parquet (docs/hardware.md). Layers are those of four models in bf16 on one
GPU, tokens balanced over the experts, wherever every expert is active. Predicted: launch floor + max(bytes / sustained bandwidth, operations
/ (peak x efficiency)). Bytes: all experts' weights once, activations in and out. Sustained bandwidth: the GPU's peak times the share of it that
the cycle engine reaches for a stream of reads with refresh on its memory's standard. Why some points differ: docs/silicon.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moeram.check.device import check_device
from moeram.hardware.gpu import Gpu, load_gpu
from moeram.hardware.gpu_cost import MOE_KERNELS, expert_activations
from moeram.hardware.measured import MeasuredTables, read_tables
from moeram.metrics import Table
from moeram.model import MoEModel, load_model
from moeram.report.figures import new_figure

MODELS = ("mixtral-8x7b", "qwen3-30b-a3b", "qwen3.5-397b-a17b", "llama-4-scout")
TOKENS = (4, 8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096)
# GPU: its memory in the engine. H100: 16 GB stacks of eight dies, at 5.2 Gb/s; refresh and row times are in ns, so the share holds.
MEMORIES = {
    "h100_sxm": ("h100_moe_*.parquet", "HBM3_16Gb_8hi", "HBM3_6400Mbps"),
    "b200": ("b200_moe_*.parquet", "HBM3E_24bank", "HBM3E_8000Mbps"),
}
BYTES = 2  # bf16
# Tokens of an expert up to which each GPU's kernel reads its weights once (docs/silicon.md); reported apart, never used to predict.
ONE_PASS = {"h100_sxm": 64, "b200": 8}
COLUMNS = (
    "gpu", "model", "tokens", "tokens_per_expert", "bound_by", "weight_passes", "predicted_us", "measured_us", "error",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The routed experts of one layer."""

    hidden: int
    inner: int
    top_k: int
    experts: int

    @property
    def weight_bytes(self) -> int:
        return 3 * self.hidden * self.inner * self.experts * BYTES

    def shape(self) -> dict[str, object]:
        return {
            "moe_dtype": "bfloat16", "hidden_size": self.hidden, "inter_size": self.inner, "topk": self.top_k,
            "num_experts": self.experts, "moe_tp_size": 1, "moe_ep_size": 1, "distribution": "balanced",
        }  # fmt: skip


def layer_of(model: MoEModel) -> Layer:
    return Layer(
        hidden=model.hidden_size, inner=model.expert_intermediate_size, top_k=model.top_k, experts=model.experts
    )


def sustained_share(organization: str, timing: str) -> float:
    """Return the share of the peak that the engine reaches for a stream of reads with refresh."""
    lines = {line.name: line for line in check_device("HBM3@2.1", organization, timing).lines}
    return lines["stream bandwidth"].measured / lines["stream bandwidth without refresh"].expected


def predicted_us(layer: Layer, tokens: int, gpu: Gpu, share: float) -> tuple[float, str]:
    """Return the time of a layer with every expert active, and what bounds it."""
    pairs = tokens * layer.top_k
    moved = layer.weight_bytes + pairs * expert_activations(layer.hidden, layer.inner) * BYTES
    memory_us = moved / (gpu.memory_gb_per_s * share) * 1e-3
    peak = gpu.peak_flops_per_ps("bfloat16") * gpu.compute_efficiency
    compute_us = 6 * layer.hidden * layer.inner * pairs / peak * 1e-6
    bound = "memory" if memory_us >= compute_us else "compute"
    return MOE_KERNELS * gpu.launch_floor_us + max(memory_us, compute_us), bound


def rows_of(name: str, tables: MeasuredTables) -> list[dict[str, object]]:
    gpu, share = load_gpu(name), sustained_share(*MEMORIES[name][1:])
    print(f"{name}: the engine sustains {share:.3f} of {gpu.memory_gb_per_s:g} GB/s")
    rows: list[dict[str, object]] = []
    for model in MODELS:
        layer = layer_of(load_model(model))
        for tokens in TOKENS:
            if tokens * layer.top_k < layer.experts:
                continue
            predicted, bound = predicted_us(layer, tokens, gpu, share)
            measured = tables.time_ps("moe", layer.shape(), tokens).time_ps[0] * 1e-6
            each = tokens * layer.top_k / layer.experts
            passes = "one" if each <= ONE_PASS[name] else "several"
            values = (name, model, tokens, each, bound, passes, predicted, measured, predicted / measured - 1)
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def steps_table(name: str, tables: MeasuredTables) -> Table:
    """Return for every bf16 layer of a table how its time steps where an expert's tokens leave the first tile."""
    rows, edge = [], ONE_PASS[name]
    for shape in tables.shapes("moe"):
        tokens_at = [n * shape["num_experts"] // shape["topk"] for n in (edge, 2 * edge)]
        whole = shape["moe_dtype"] == "bfloat16" and shape["distribution"] == "balanced"
        if not whole or (shape["moe_tp_size"], shape["moe_ep_size"]) != (1, 1) or tokens_at[1] > 16384:
            continue
        before, after = tables.time_ps("moe", shape, tokens_at).time_ps * 1e-6
        step = {
            "gpu": name,
            "hidden": shape["hidden_size"],
            "inner": shape["inter_size"],
            "experts": shape["num_experts"],
        }
        gate_up = 2 * shape["hidden_size"] * shape["inter_size"] * BYTES
        rows.append(
            step | {"gate_up_mb": gate_up / 1e6, "before_us": before, "after_us": after, "step": after / before}
        )
    rows.sort(key=lambda row: row["gate_up_mb"])
    return Table.from_rows("steps", rows, list(rows[0]) if rows else [])


def show(table: Table) -> None:
    print("  ".join(f"{name:>17}" for name in table.columns))
    for row in table.rows():
        print("  ".join(f"{value:17.3f}" if isinstance(value, float) else f"{value!s:>17}" for value in row.values()))


def summary(table: Table) -> None:
    memory = table["bound_by"] == "memory"
    print("\nrelative error of the prediction where memory is the bound")
    for gpu in MEMORIES:
        for passes in ("one", "several"):
            error = table["error"][memory & (table["gpu"] == gpu) & (table["weight_passes"] == passes)]
            if len(error):
                within = np.mean(np.abs(error) <= 0.1)
                print(
                    f"{gpu}, weights read in {passes} pass(es): {len(error)} points, mean {error.mean():+.1%}, "
                    f"worst {error[np.argmax(np.abs(error))]:+.1%}, within 10 %: {within:.0%}"
                )


def draw(table: Table, path: Path) -> None:
    figure = new_figure(4.6)
    axes = figure.subplots(2, 1)
    colours = dict(zip(MODELS, ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=True))
    for panel, gpu in zip(axes, MEMORIES, strict=True):
        for model, colour in colours.items():
            rows = table.where(gpu=gpu, model=model)
            panel.plot(rows["tokens"], rows["predicted_us"], color=colour, linewidth=1, label=model)
            for passes, face in (("one", colour), ("several", "white")):
                of = rows.where(weight_passes=passes)
                panel.plot(
                    of["tokens"], of["measured_us"], linestyle="", marker="o", markersize=3, color=colour, markerfacecolor=face
                )  # fmt: skip
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.minorticks_off()
        ticks = [200, 500, 1000, 2000, 5000]
        panel.set_yticks(ticks, [str(tick) for tick in ticks])
        panel.set_xticks(TOKENS[::2], [str(tokens) for tokens in TOKENS[::2]])
        panel.set_title(f"{gpu}: lines predicted, points measured", fontsize=7)
        panel.set_ylabel("MoE layer (us)", fontsize=7)
        panel.tick_params(labelsize=6)
        panel.spines[["top", "right"]].set_visible(False)
    axes[1].set_xlabel("tokens (hollow: past the kernel's first tile)", fontsize=7)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=5.5, frameon=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True, help="folder of the measured tables")
    parser.add_argument("--csv", type=Path, help="write the points")
    parser.add_argument("--figure", type=Path, help="write the figure (PNG)")
    parser.add_argument("--steps", action="store_true", help="also the steps of every layer of the tables")
    arguments = parser.parse_args()
    found = {name: sorted(arguments.tables.glob(pattern)) for name, (pattern, _, _) in MEMORIES.items()}
    if not all(found.values()):
        print(
            f"{arguments.tables}: no measured tables of {', '.join(n for n in found if not found[n])}; nothing is compared"
        )
        return
    tables = {name: read_tables(paths) for name, paths in found.items()}
    table = Table.from_rows("silicon", [row for name in MEMORIES for row in rows_of(name, tables[name])], COLUMNS)
    show(table)
    summary(table)
    if arguments.steps:
        for name in MEMORIES:
            print()
            show(steps_table(name, tables[name]))
    if arguments.csv:
        table.to_csv(arguments.csv)
    if arguments.figure:
        draw(table, arguments.figure)


if __name__ == "__main__":
    main()
