"""No option of serving is read and then forgotten: each one, changed alone, changes the result of every kind of system or is refused by name."""

from __future__ import annotations

import csv
import json

import pytest
from option_walk import OF_GENERATED_ROUTING, leaves

from moeram.errors import ConfigError
from moeram.experiment import load_serving, run_serving
from moeram.experiment.serving_options import ServingExperiment
from moeram.options import dump_yaml
from moeram.serving.system import ServingSystem

KINDS = {
    "gpus": {"experiment": "mixtral_h100_x2", "system": "h100_x2"},
    "gpu_pim": {"experiment": "qwen3_sieve", "system": "b200_pim_x4"},
    "near_memory": {"experiment": "mixtral_stratum_l", "system": "stratum_xl"},
}
FEW = {
    "requests.count": 3, "requests.prompt_tokens": 40, "requests.output_tokens": 3, "requests.rate_per_s": 2000.0,
    "batching.prefill_tokens": 64, "routing.synthetic.topics": 3, "routing.synthetic.topic_sigma": [0.5],
}  # fmt: skip
SLICES = {"contention.policy": "time_slices", "contention.host_slice": 1000, "contention.units_slice": 1000}
COST = {"cost.gpu_price_usd": 1e4, "cost.memory_price_usd": 1e3}
# What never changes a result, and what is only said.
INDIFFERENT = {"threads", "reuse", "name", "description", "system.name", "system.description"}
TABLE = "TABLE"
# Option -> another value, and what must stand beside it to matter at all.
CHANGES: dict[str, tuple[object, dict[str, object]]] = {
    "model": ("olmoe-1b-7b", {}),
    "system": ("OTHER", {}),
    "system_values": ({"links": {"link_pj_per_bit": 9.0}}, {}),
    "precision": ("attention=fp8", {}),
    "routing.source": ("trace", {}),
    "routing.path": (TABLE, {}),
    "routing.format": ("counts-npz", {}),
    **OF_GENERATED_ROUTING,
    "routing.synthetic.popularity_sigma": ([2.0], {"routing.synthetic.popularity": "lognormal"}),
    "requests.source": ("trace", {}),
    "requests.path": (TABLE, {}),
    "requests.count": (4, {}),
    "requests.rate_per_s": (900.0, {}),
    "requests.prompt_tokens": (41, {}),
    "requests.output_tokens": (4, {}),
    "batching.policy": ("same_topic", {"batching.max_requests": 1, "requests.count": 6}),
    "batching.max_requests": (1, {}),
    "batching.prefill_tokens": (16, {}),
    "batching.mixed": (False, {"requests.rate_per_s": 20000.0}),
    "batching.draft_tokens": (2, {}),
    "batching.acceptance": (0.0, {"batching.draft_tokens": 2}),
    "batching.slo_share": (0.0, {"batching.policy": "same_topic", "batching.max_requests": 1, "requests.count": 6}),
    "schedule.policy": ("all_experts", {}),
    "schedule.options": ({"scheduler_us": 90.0}, {}),
    "pim_times": ("engine", {}),
    "contention.policy": ("oldest_first", {"contention.row_buffers": "split"}),
    "contention.row_buffers": ("alternating", {"contention.policy": "units_first"}),
    "contention.cap": (400, {"contention.row_buffers": "alternating", "contention.cap": 4000}),
    "contention.host_slice": (3000, SLICES),
    "contention.units_slice": (3000, SLICES),
    "placement.policy": ("random_rows", {}),
    "placement.phi": ("full", {}),
    "placement.kv_requests": (400, {}),
    "placement.context_tokens": (40_000, {}),
    "topic_prediction.accuracy": (0.0, {"batching.policy": "same_topic"}),
    "topic_prediction.confusion": (TABLE, {"batching.policy": "same_topic"}),
    "limits.ttft_ms": (1e-3, {"limits.impossible": "serve"}),
    "limits.tpot_ms": (1e-3, {"limits.impossible": "serve"}),
    "limits.impossible": ("serve", {"limits.tpot_ms": 1e-3}),
    "measured": ([TABLE], {"limits.impossible": "serve"}),  # these kernels take a second
    "measured_distribution": ("balanced", {}),
    "outside_measured": ("label", {}),
    "cost.gpu_price_usd": (2e4, COST),
    "cost.memory_price_usd": (2e3, COST),
    "cost.cpu_price_usd": (1.0, COST),
    "cost.cpu_power_w": (1.0, COST),
    "cost.board_price_usd": (1.0, COST),
    "cost.dram_gb": (1.0, COST),
    "cost.dram_usd_per_gb": (1.0, COST),
    "cost.ssd_gb": (1.0, COST),
    "cost.ssd_usd_per_gb": (1.0, COST),
    "cost.usd_per_kwh": (1.0, COST),
    "cost.running_years": (1.0, COST),
    "every_ms": (0.5, {}),
    "seed": (5, {}),
    "system.in_paper": ("OTHER", {}),
    "system.kind": ("OTHER", {}),
    "system.gpu": ("a100_sxm", {}),
    "system.gpus": (8, {}),
    "system.memory": ("OTHER", {}),
    "system.links.topology": ("ring", {"system.gpus": 8}),
    "system.links.columns": (2, {}),
    "system.links.link_gb_per_s": (10, {}),
    "system.links.latency_ns": (9000, {}),
    "system.links.mode": ("event", {}),
    "system.links.link_pj_per_bit": (9.0, {}),
    "system.compute_efficiency": (0.001, {}),
    "system.memory_efficiency": (0.3, {}),
    "system.experts": ("expert", {}),
    "system.deal_every_steps": (1, {"system.experts": "expert"}),
    "system.gpu_pim.interleaved": (False, {}),
    "system.gpu_pim.memory_layout": ("expert", {}),
    "system.gpu_pim.dense": ("sharded", {}),
    "system.gpu_pim.router_us": (50, {}),
    "system.gpu_pim.exclusive": (True, {}),
    "system.gpu_pim.mode_switch_us": (50, {}),
    "system.near_memory.concurrent": (True, {"requests.rate_per_s": 20000.0}),
    "system.near_memory.link_efficiency": (0.2, {}),
    "system.near_memory.attention": ("engine", {}),
    "system.near_memory.swap": (False, {"requests.rate_per_s": 100.0}),
}
OTHERS = {
    ("gpus", "system"): "h100_x4", ("gpu_pim", "system"): "b200_pim_x8", ("near_memory", "system"): "stratum_l",
    ("gpu_pim", "system.memory"): "hbm3_duplex", ("near_memory", "system.memory"): "stratum_2xl", ("gpus", "system.memory"): "hbm3e_pim",
    ("gpus", "system.kind"): "gpu_pim", ("gpu_pim", "system.kind"): "gpus", ("near_memory", "system.kind"): "gpus",
    ("gpus", "system.in_paper"): True, ("gpu_pim", "system.in_paper"): False, ("near_memory", "system.in_paper"): False,
    ("gpu_pim", "model"): "qwen1.5-moe-a2.7b", ("near_memory", "batching.policy"): "continuous",
}  # fmt: skip


def test_every_option_has_its_change_here():
    known = {*leaves(ServingExperiment), *leaves(ServingSystem, "system.")}
    assert known == CHANGES.keys() | INDIFFERENT


def run(folder, kind, values):
    """Return all that a run says, as text."""
    given = {**FEW, "system": KINDS[kind]["system"], **values}
    changes = {key.removeprefix("system."): value for key, value in given.items() if key.startswith("system.")}
    if changes:
        tree: dict = {"extends": given["system"]}
        for key, value in changes.items():
            place, *parts = [tree], *key.split(".")
            node = place[0]
            for part in parts[:-1]:
                node = node.setdefault(part, {})
            node[parts[-1]] = value
        file = folder / "system.yaml"
        file.write_text(dump_yaml(tree), encoding="utf-8")
        given["system"] = file
    given = {key: value for key, value in given.items() if not key.startswith("system.")}
    result = run_serving(load_serving(KINDS[kind]["experiment"], values=given))
    tables = {name: [list(map(str, row.values())) for row in table.rows()] for name, table in result.tables.items()}
    return json.dumps([tables, result.notes, result.fidelity])


def table_of(folder, kind):
    """A table of measured layers of the model of a kind of system."""
    shapes = {"gpus": (4096, 14336, 2, 8, 2), "gpu_pim": (2048, 768, 8, 128, 1)}
    hidden, inner, top_k, experts, cut = shapes.get(kind, shapes["gpus"])
    path = folder / "measured.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["op_name", "moe_dtype", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size",
             "distribution", "num_tokens", "latency"]
        )  # fmt: skip
        for tokens in (1, 16, 4096):
            writer.writerow(["moe", "bfloat16", hidden, inner, top_k, experts, cut, 1, "balanced", tokens, 0.1 + tokens])
    return path


def wrong_topics(folder):
    path = folder / "confusion.json"
    names = [f"topic_{topic}" for topic in range(3)]
    path.write_text(json.dumps({"topics": names, "confusion": [[0, 1, 0], [0, 0, 1], [1, 0, 0]]}), encoding="utf-8")
    return path


def unchanged(folder, kind, beside, kept):
    key = (kind, json.dumps(beside, sort_keys=True))
    if key not in kept:
        kept[key] = run(folder, kind, beside)
    return kept[key]


@pytest.fixture(scope="module")
def kept():
    return {}


# Half of a pair, refused without the other half; or tested where their tables are (test_measured_serving).
NEVER_ALONE = {
    "routing.source", "routing.path", "routing.format", "requests.source", "requests.path", "system.kind", "system.links.columns",
    "measured_distribution", "outside_measured", "limits.impossible",
}  # fmt: skip


@pytest.mark.parametrize("option", CHANGES)
def test_an_option_changes_the_result_or_is_refused_by_name(tmp_path, kept, option):
    changed = {kind: _changes(tmp_path, kept, option, kind) for kind in KINDS}
    assert any(changed.values()) != (option in NEVER_ALONE)


def _changes(folder, kept, option, kind):
    value, beside = CHANGES[option]
    value = OTHERS.get((kind, option), value)
    if value in (TABLE, [TABLE]):
        path = str(wrong_topics(folder) if option.endswith("confusion") else table_of(folder, kind))
        value = [path] if value == [TABLE] else path
    if kind != "gpus" and "system.experts" in beside:
        beside = {}
    try:
        before = unchanged(folder, kind, beside, kept)
        after = run(folder, kind, {**beside, option: value})
    except ConfigError as error:
        assert any(word in str(error) for word in option.removeprefix("system.").split(".")), error
        return False
    assert before != after, kind
    return True
