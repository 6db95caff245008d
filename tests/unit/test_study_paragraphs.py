"""What the paragraphs of docs/studies say is what the committed tables say: every number of a result is computed from them, every other
number in the text is named here as a setting or as published.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable

import numpy as np
import pytest

import moeram.hardware
from moeram import runs
from moeram.hardware.memories import load_memory
from moeram.model import load_model

NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?")
NAMES = re.compile(r"\b[EUXRA]\d+\b|Llama-4|Qwen3|GPT-OSS|Stratum-L")
Claims = dict[str, tuple]


class Rows:
    """A committed table: `rows(column, key=value, ...)` returns the column's numbers of the rows with these keys."""

    def __init__(self, path) -> None:
        with open(path, newline="", encoding="utf-8") as file:
            self.rows = list(csv.DictReader(file))

    def all(self, column: str, **keys) -> list[float]:
        """Numbers of all rows with these keys, in order."""
        found = [
            float(row[column]) for row in self.rows if all(_same(row[_column(row, key)], value) for key, value in keys.items())
        ]
        assert found, keys
        return found

    def __call__(self, column: str, **keys) -> float:
        (one,) = self.all(column, **keys)
        return one


def _column(row, key: str) -> str:
    """A key may be the end of a dotted column's name."""
    return next(name for name in row if name == key or name.endswith(f".{key}"))


def _same(text: str, value) -> bool:
    return text == value if isinstance(value, str) else float(text) == value


def percent(ratio: float) -> float:
    return 100 * (ratio - 1)


OLMOE, MIXTRAL, SCOUT = "olmoe-1b-7b", "mixtral-8x7b", "llama-4-scout"
MODELS = (OLMOE, MIXTRAL, SCOUT)


def e1(t: Rows) -> Claims:
    one = [t(column, model=model, batch=1) for model in MODELS for column in ("occupancy", "total")]
    parts = [percent(edge([t(part, model=m, batch=1) for m in MODELS])) for part in ("popularity", "topic") for edge in (min, max)]

    def off(*models):
        return max(abs(percent(a / b)) for m in models for a, b in zip(t.all("roofline_total", model=m), t.all("total", model=m), strict=True))

    assert all(abs(percent(t(part, model=m, batch=16))) < 1.5 for m in MODELS for part in ("popularity", "topic"))
    assert all(t(part, model=m, batch=32) < 1 for m in (OLMOE, MIXTRAL) for part in ("popularity", "topic"))
    return {
        "{:.2f} of {:.2f} (OLMoE), {:.2f} of {:.2f} (Mixtral), {:.2f} of {:.2f} (Llama-4-Scout) at one token": one,
        "Popularity adds {:.0f} to {:.0f} % and the topic {:.0f} to {:.0f} %": parts,
        "falls to {:.2f}, {:.2f} and {:.2f} at 32 tokens": [t("total", model=m, batch=32) for m in MODELS],
        "the published {:.2f}, {:.2f} and {:.2f}": [t("paper", model=m, batch=1) for m in MODELS],
        "at most {:.1f} % (OLMoE, Mixtral) and {:.1f} % (Scout": (off(OLMOE, MIXTRAL), off(SCOUT)),
    }


def e2(t: Rows) -> Claims:
    def gain(model, batch, phi="compact"):
        return percent(t("inversion", model=model, batch=batch, phi=phi))

    assert gain(MIXTRAL, 8) < 0 < gain(MIXTRAL, 16) and gain(OLMOE, 16) < 0 < gain(OLMOE, 24)
    assert gain(OLMOE, 16, "full") < 0 < gain(OLMOE, 32, "full") and max(t.all("inversion", model=SCOUT)) < 1
    losses = [-gain(m, 1, phi) for m in MODELS for phi in ("compact", "full")]
    return {
        "(+{:.1f} % at 24, +{:.1f} % where cold experts lie at the end": (gain(MIXTRAL, 24), gain(MIXTRAL, 24, "full")),
        "(+{:.1f} and +{:.1f} % at 32)": (gain(OLMOE, 32), gain(OLMOE, 32, "full")),
        "{:.0f} to {:.0f} % at one token": (min(losses), max(losses)),
    }


def e3(t: Rows) -> Claims:
    def over(column, model, batch):
        return [percent(value) for value in t.all(column, model=model, batch=batch)]

    def mean(values):
        return sum(values) / len(values)

    def ci95(values):  # Student's t of five degrees of freedom: six domains
        return 2.571 * (sum((v - mean(values)) ** 2 for v in values) / (len(values) - 1) / len(values)) ** 0.5

    one, many, mixtral = over("topic", OLMOE, 1), over("topic", OLMOE, 16), over("topic", MIXTRAL, 1)
    draws = [100 * value for value in t.all("topic_ci95", model=OLMOE, batch=1)]
    ceiling = mean(over("ceiling", MIXTRAL, 1))
    assert abs(mean(over("ceiling", OLMOE, 1)) - mean(one)) < 0.05 and mean(over("ceiling", MIXTRAL, 16)) < 0
    assert abs(mean(over("topic", MIXTRAL, 16))) < 0.05
    return {
        "adds {:.1f} % on average over its six domains, between {:.1f} % (tulu) and {:.1f} % (book)": (
            mean(one), t("topic", model=OLMOE, batch=1, description="tulu") * 100 - 100, t("topic", model=OLMOE, batch=1, description="book") * 100 - 100,
        ),
        "{:.1f} +- {:.1f} %, is far wider than that over draws ({:.1f} to {:.1f} %)": (mean(one), ci95(one), min(draws), max(draws)),
        "it adds {:.1f} +- {:.1f} %": (mean(many), ci95(many)),
        "{:.1f} +- {:.1f} % at one token, nothing at 16": (mean(mixtral), ci95(mixtral)),
        "{:.1f} % for Mixtral at one token": (ceiling,),
    }  # fmt: skip


def e4(t: Rows) -> Claims:
    quick, slow = "experts back to back", "a step each 0.66 ms"

    def at(column, ms, batch=1, how=quick):
        return t(column, batch=batch, description=how, retention_ms=ms)

    def read(batch, how, ms):
        return 100 * at("expert_rows_read_share", ms, batch, how)

    cases = [(batch, how) for batch in (1, 8) for how in (quick, slow)]
    left = min(read(*case, 16) for case in cases)
    saved = max(1 - at("bank_time_share_left", 128, *case) / at("bank_time_share_all", 128, *case) for case in cases)
    experts = at("rows_read_share", 128) / at("expert_rows_read_share", 128)
    power = max(1 - at("power_left_w", 128, *case) / at("power_all_w", 128, *case) for case in cases)
    step_us = at("step_us", 4, how=slow)
    return {
        "OLMoE's {:,.0f} rows": (round(at("rows_with_data", 1) / 100) * 100,),
        "takes {:.2f} ms of every bank: {:.1f} % of the time at 16 ms, {:.1f} % at 64 ms, {:.0f} % at 4 ms, and at {:.2f} ms": (
            at("bank_time_share_all", 1), *(100 * at("bank_time_share_all", ms) for ms in (16, 64, 4)), at("bank_time_share_all", 1),
        ),
        "{:.1f} W at 64 ms, {:.0f} W at 4 ms": (at("power_all_w", 64), at("power_all_w", 4)),
        "open {:.0f} % of the experts' rows within 4 ms when": (read(1, quick, 4),),
        "{:.0f} % when a step comes each {:.2f} ms (what the paper's periods imply), {:.0f} and {:.0f} % at 8 tokens": (
            read(1, slow, 4), step_us / 1000, read(8, quick, 4), read(8, slow, 4),
        ),
        "all but {:.0f} % in the worst": (100 - left,),
        "only {:.0f} % of the rows with data": (100 * experts,),
        "at most {:.0f} % of rows and power and {:.0f} % of the bank time": (100 * power, 100 * saved),
    }  # fmt: skip


def e5(t: Rows) -> Claims:
    memory, model = load_memory("mono3d_l"), load_model(MIXTRAL)
    inside = memory.peak_bytes_per_ps
    outside = memory.external_gb_per_s / 1e3
    requests = (4, 16, 64)

    def lead(name, batch, policy="sieve"):
        return t("tokens_per_s_relative", name=name, max_requests=batch, description=policy)

    def tokens(name, batch, policy="all_experts"):
        return t("tokens_per_s", name=name, max_requests=batch, description=policy)

    answers = [percent(lead("answers-concurrent", batch)) for batch in requests]
    in_turn = [percent(lead("answers-exclusive", batch)) for batch in requests]
    falls = [-percent(tokens("answers-exclusive", b) / tokens("answers-concurrent", b)) for b in requests]
    slow = [-percent(lead("answers-exclusive", b, "all_experts, one slow tier")) for b in requests]
    under_sieve = tokens("answers-concurrent", 4, "sieve, one slow tier") / tokens("answers-concurrent", 4, "sieve")
    assert lead("prompts-concurrent", 4) == pytest.approx(1.6, abs=0.05)
    hidden = max(-percent(lead("answers-concurrent", b, "all_experts, one slow tier")) for b in requests)
    expert = memory.expert_ps(np.array([1]), model)
    return {
        "units read {:.0f} times as fast as the GPU ({:.0f} against {:.1f} TB/s)": (inside / outside, inside, outside),
        "takes {:.1f} us near memory (tier 1; {:.1f} us over all tiers) and {:.0f} us over the interposer": (
            expert.bound_ps[0] * 1e-6, expert.time_ps[0] * 1e-6, model.expert_bytes / outside * 1e-6,
        ),
        "-{:.0f} to -{:.0f} % at 4 and 16 requests, +{:.0f} % at 64": (-answers[0], -answers[1], answers[2]),
        "if GPU and units work at once, and {:.1f}, {:.1f} and +{:.0f} % if one side": in_turn,
        "falls by {:.0f}, {:.0f} and {:.0f} % (4, 16, 64 requests) and Sieve's lead on prompts from {:.2f} to {:.2f}": (
            *falls, lead("prompts-concurrent", 64), lead("prompts-exclusive", 64),
        ),
        "costs {:.0f}, {:.0f} and {:.1f} % of throughput in exclusive mode": slow,
        "at most {:.1f} % in concurrent mode": (hidden,),
        "({:.0f} % under Sieve at 4 requests": (-percent(under_sieve),),
    }  # fmt: skip


def e6(t: Rows) -> Claims:
    def gain(system, batch, drafts=3):
        return t("tokens_per_s_relative", system=system, max_requests=batch, draft_tokens=drafts)

    assert gain("stratum_l", 8, 2) >= gain("stratum_l", 8, 3)
    return {
        "{:.2f} times the tokens on Stratum-L, {:.2f} times on two H100": (gain("stratum_l", 1), gain("h100_x2", 1)),
        "({:.2f} tokens a step are the bound at 0.7 right)": ((1 - 0.7**4) / 0.3,),
        "{:.2f} on Stratum-L, no more from the second draft on, and {:.2f} on the GPUs": (gain("stratum_l", 8), gain("h100_x2", 8)),
    }


def e7(t: Rows) -> Claims:
    def gain(tiers, batch=1, how="uniform"):
        return t("total", batch=batch, description=how, tiers=tiers) - 1

    shares = [100 * gain(tiers) / gain(1024) for tiers in (2, 4, 8, 16)]
    worse = [-percent((1 + gain(n, 1, "equal steps")) / (1 + gain(n))) for n in (2, 4, 8, 16, 32)]
    many = [percent((1 + gain(n, 16, "equal steps")) / (1 + gain(n, 16))) for n in (2, 4, 8, 16, 32)]
    rest = [percent((1 + gain(1024, batch)) / (1 + gain(8, batch))) for batch in (1, 16)]
    assert all(abs(100 * gain(n, 16) / gain(1024, 16) - share) < 1.5 for n, share in zip((2, 4, 8, 16), shares, strict=True))
    return {
        "Two tiers give {:.0f} % of the gain of 1,024 (one per layer), four {:.0f} %, the published eight {:.0f} %, sixteen {:.0f} %": shares,
        "worth {:.0f} to {:.0f} % of a step": (min(rest), max(rest)),
        "by {:.1f}, {:.1f}, {:.1f}, {:.1f} and {:.1f} % for 2, 4, 8, 16 and 32 tiers": worse,
        "within {:.1f} % (four tiers {:.1f} % better)": (max(map(abs, many)), many[1]),
    }


def e8(t: Rows, steps: Rows) -> Claims:
    caps = {cap: [t("value", quantity="stack power (W)", power_cap_w=cap, tier=tier) for tier in range(1, 9)] for cap in (144.53, 120.0, 100.0, 80.0)}

    def gain(cap, batch):
        return steps("capped_step_time_us_relative", power_cap_w=cap, batch=batch, placement="no_tiering")

    def watt(placement):
        found = [steps("stack_w", power_cap_w=144.53, batch=batch, placement=placement) for batch in (1, 8, 32)]
        return min(found), max(found)

    alike = {cap: sum(abs(value - cap) < 1e-6 for value in values) for cap, values in caps.items()}
    assert alike[80.0] == 8
    assert all(abs(gain(120.0, batch) - gain(144.53, batch)) < 5e-4 for batch in (1, 8, 32))
    warm = t("value", quantity="rise over coolant (K)", power_cap_w=144.53, tier=1)
    area = moeram.hardware.load_system("stratum_s").thermal.area_mm2
    return {
        "draws {:.0f} W in tier 1 and {:.0f} W in tier 8": (caps[144.53][0], caps[144.53][7]),
        "at 120 W tiers 1 to {:d} run alike, at 100 W tiers 1 to {:d}": (alike[120.0], alike[100.0]),
        "{:.0f} to {:.0f} W with topic placement and {:.0f} to {:.0f} W without tiering": (*watt("topic_aware"), *watt("no_tiering")),
        "{:.2f}, {:.2f} and {:.2f} (batch 1, 8, 32) at 100 W instead of {:.2f}, {:.2f} and {:.2f}, and {:.2f}, {:.2f} and {:.2f} at 80 W": [
            gain(cap, batch) for cap in (100.0, 144.53, 80.0) for batch in (1, 8, 32)
        ],
        "mean {:.1f} K over the coolant at {:.0f} W ({:.0f} W/cm2": (warm, caps[144.53][0], caps[144.53][0] / area * 100),
    }


def e9(t: Rows) -> Claims:
    def lead(how, batch):
        return percent(t("tokens_per_s", description=how, policy="sieve", max_requests=batch) / t("tokens_per_s", description=how, policy="pimoe", max_requests=batch))

    behind = [-lead("roofline", batch) for batch in (4, 16, 64)]
    ahead = [lead("measured", batch) for batch in (4, 16, 64)]
    for policy in ("sieve", "pimoe"):
        halves = [t("tokens_per_s", description=how, policy=policy, max_requests=64) for how in ("measured", "roofline")]
        assert halves[0] / halves[1] == pytest.approx(0.5, abs=0.05)
    return {
        "by {:.0f}, {:.0f} and {:.0f} % at 4, 16 and 64 requests": behind,
        "ahead by {:.0f}, {:.0f} and {:.0f} %": ahead,
    }


def e10(t: Rows) -> Claims:
    def gain(bits, batch, how="multipliers stay", column="total"):
        return t(column, description=how, precision=f"experts={bits}", batch=batch)

    return {
        "with int4 the gain is {:.2f} at one token, {:.2f} at four and {:.2f} at 16 (fp16: {:.2f}, {:.2f}, {:.2f})": [
            gain(bits, batch) for bits in ("int4", "fp16") for batch in (1, 4, 16)
        ],
        "rises to {:.2f}": (gain("int4", 1, "multipliers double", "roofline_total"),),
        "falls to {:.2f}": (gain("int4", 1, "multipliers double"),),
    }


def a1(t: Rows) -> Claims:
    def ratio(model, what, batch):
        return t("tokens_per_s_relative", model=model, description=what, max_requests=batch)

    qwen, gpt, sizes = "qwen3-30b-a3b", "gpt-oss-120b", (16, 64, 128)
    table = [1 - ratio(model, "roofline, no table", batch) for model in (qwen, gpt) for batch in sizes]
    layout = [edge([ratio(model, "an expert in one stack", b) for b in sizes]) for model in (qwen, gpt) for edge in (min, max)]
    free = [percent(ratio(model, "decides in 0 us", batch)) for batch in (16, 64) for model in (qwen, gpt)]
    slow = sorted(-percent(ratio(model, "decides in 50 us", 128)) for model in (qwen, gpt))
    assert all(abs(percent(ratio(gpt, "no communication", batch))) < 0.05 for batch in sizes)
    assert all(percent(ratio(model, "decides in 50 us", 16)) == pytest.approx(-33, abs=2) for model in (qwen, gpt))
    return {
        "(-{:.0f} % at 128 requests when it is not counted), not for GPT-OSS (-{:.1f} %)": (
            -percent(ratio(qwen, "no attention", 128)), max(-percent(ratio(gpt, "no attention", batch)) for batch in sizes),
        ),
        "costs {:.0f} to {:.0f} %": (100 * min(table), 100 * max(table)),
        "falls to {:.2f} to {:.2f} and {:.2f} to {:.2f}": layout,
        "are {:.0f} and {:.0f} % of a step at 16 requests ({:.0f} and {:.0f} % more throughput at 0 us), {:.0f} and {:.0f} % at 64": (
            *(100 * (1 - 1 / ratio(model, "decides in 0 us", 16)) for model in (qwen, gpt)), *free,
        ),
        "{:.0f} to {:.0f} % at 128": slow,
    }  # fmt: skip


def a2(t: Rows) -> Claims:
    ends = [t("total", batch=batch, phi=phi) for batch in (1, 8, 32) for phi in (20480, 32768)]
    both = [percent(t("popularity", batch=1, phi=phi) * t("topic", batch=1, phi=phi)) for phi in (20480, 32768)]
    return {
        "from {:.2f} to {:.2f} (one token), {:.2f} to {:.2f} (8), {:.2f} to {:.2f} (32)": ends,
        "grow from {:.0f} to {:.0f} % at one token": both,
    }


def a3(t: Rows) -> Claims:
    def gain(accuracy, batch=1):
        return percent(t("topic", batch=batch, accuracy=accuracy))

    slope = gain(1) - gain(0)
    return {
        "costs {:.1f} % at one token": (-gain(0),),
        "gains {:.1f} %": (gain(1),),
        "about {:.1f} and {:.1f} % of a step": (slope * (1 - 0.945), slope * (1 - 0.85)),
        "the better one, by {:.1f} %": (gain(0, 32) - gain(1, 32),),
    }


# Study -> its section's head, its claims, and the numbers of the text that are settings, published values or of other documents.
STUDIES: dict[str, tuple[str, Callable[..., Claims], str]] = {
    "e1_tiering_parts": ("E1", e1, "16 32 8 64 1.25 2"),
    "e2_placement_inversion": ("E2", e2, "8 16 24 32 1 2"),
    "e3_topics": ("E3", e3, "1 16 2 three 1.3"),
    "e4_refresh": ("E4", e4, "0.429 4 8 16 64"),
    "e5_sieve_on_tiers": ("E5", e5, "20 4 16 64 1,024 8 1.6 6.4 1"),
    "e6_speculation": ("E6", e6, "4.3 6.9"),
    "e7_tiers": ("E7", e7, "16 1.2 1 0.1"),
    "e8_power": ("E8", e8, "120 100 80 200 45 85 40 0.3 1"),
    "e9_measured_gpu": ("E9", e9, "0.19 0.24 20 48 64 1.6 9 200"),
    "e10_quantised": ("E10", e10, "8 16 32 3 12 1 4"),
    "a1_sieve_ablations": ("A1", a1, "20 0 50 16 128 9 400"),
    "a2_phi": ("A2", a2, "16 20,480 1.45"),
    "a3_misprediction": ("A3", a3, "94.5 85 32 2"),
}


def test_every_study_is_held_to_its_tables():
    assert set(STUDIES) == set(runs.study_names())


@pytest.mark.parametrize("name", STUDIES)
def test_numbers_of_a_paragraph_are_those_of_the_tables(name, repository):
    head, claims, settings = STUDIES[name]
    text = (repository / "docs" / "studies" / "README.md").read_text(encoding="utf-8")
    section = re.search(rf"^##+ {head}: .*?$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, head
    said = " ".join(re.sub(r"!\[.*?\]\(.*?\)|\]\(.*?\)|`[^`]*`", " ", section[1]).split())
    folder = repository / "docs" / "studies" / "tables"
    tables = [Rows(folder / f"{one}.csv") for one in (name, *(f"{name}_{more}" for more in runs.load_study(name).tables))]
    for template, values in claims(*tables).items():
        wanted = template.format(*values)
        assert wanted in said, f"{name}: the tables say {wanted!r}"
        said = said.replace(wanted, " ")
    left = [number for number in NUMBER.findall(NAMES.sub(" ", said)) if number not in settings.split()]
    assert not left, f"{name}: {left} are neither computed from a table nor named as settings"
