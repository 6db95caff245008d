"""Limits that nobody can meet and intervals that are too short are refused before anything is served."""

from __future__ import annotations

import re

import pytest

from moeram.errors import ConfigError
from moeram.experiment import load_serving, run_serving
from moeram.experiment.serving_options import LimitOptions
from moeram.metrics import serving as metrics

FEW = {"requests.count": 3, "requests.prompt_tokens": 40, "requests.output_tokens": 4}
IMPOSSIBLE = {"limits.ttft_ms": 1e-6, "limits.tpot_ms": 1e-6}
NAMES = ("mixtral_h100_x2", "qwen3_sieve", "mixtral_stratum_l")


def run(name, **values):
    return run_serving(load_serving(name, values={**FEW, **{key.replace("__", "."): value for key, value in values.items()}}))


def least_ms(name, **values):
    """The bounds that the refusal names."""
    with pytest.raises(ConfigError, match="no request can meet it") as error:
        run(name, **IMPOSSIBLE, **values)
    found = dict(re.findall(r"limits\.(\w+): given 1e-06, but the bound .* is ([\d.e-]+) ms", str(error.value)))
    return {key: float(value) for key, value in found.items()}


def fastest_ms(result):
    """The least time to first token and the least per token behind it of all requests."""
    record = result.record
    behind = record.requests.output_tokens - 1
    tpot = (record.finished_ps - record.first_token_ps)[behind > 0] / behind[behind > 0]
    return {"ttft_ms": (record.first_token_ps - record.requests.arrival_ps).min() / 1e9, "tpot_ms": tpot.min() / 1e9}


DEALT = {"model": "qwen3-30b-a3b", "system": "h100_x8", "system_values__experts": "expert"}
SHORT = {"requests__prompt_tokens": 1, "requests__output_tokens": 2, "requests__count": 60, "requests__rate_per_s": 2}
BUSY = {"requests__count": 12, "requests__output_tokens": 20, "requests__rate_per_s": 200}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("mixtral_h100_x2", BUSY),
        ("mixtral_h100_x2", {**DEALT, **SHORT}),  # fastest where the routing happens to be even
        ("mixtral_h100_x2", {**DEALT, **BUSY, "system_values__deal_every_steps": 4}),
        ("mixtral_h100_x2", {**BUSY, "batching__draft_tokens": 3, "batching__acceptance": 1.0}),
        ("mixtral_h100_x2", {**BUSY, "requests__output_tokens": 3, "batching__draft_tokens": 6, "batching__acceptance": 1.0}),
        ("mixtral_stratum_l", BUSY),
        ("mixtral_stratum_l", SHORT),
        ("mixtral_stratum_l", {**BUSY, "system_values__near_memory__concurrent": True, "batching__prefill_tokens": 8}),
        *(("qwen3_sieve", {**BUSY, "schedule__policy": name}) for name in ("papi", "sieve", "all_experts", "no_experts", "gpu_only", "pimoe")),
        ("qwen3_sieve", {**SHORT, "system": "b200_pim_x4", "schedule__policy": "papi"}),
        ("qwen3_sieve", {**SHORT, "system": "b200_pim_x4", "system_values__gpu_pim__dense": "sharded"}),
        ("qwen3_sieve", {**BUSY, "pim_times": "engine"}),
    ],
)  # fmt: skip
def test_no_request_is_better_than_the_bound(name, values):
    fastest = fastest_ms(run(name, **values, limits__impossible="serve"))
    for key, bound_ms in least_ms(name, **values).items():
        assert fastest[key] >= bound_ms * 0.9995, key  # the message has four digits


def test_a_busy_system_may_be_faster_than_a_request_alone():
    """PAPI leaves a single request's experts to the units, which take long over a prompt; with more requests the GPU takes them."""
    values = {"schedule__policy": "papi", "requests__prompt_tokens": 512, "requests__count": 40, "requests__output_tokens": 200}
    result = run("qwen3_sieve", **values, requests__rate_per_s=30, limits__ttft_ms=20)
    assert next(result["throughput"].rows())["met_share"] > 0.5


def test_the_bound_reads_the_active_weights_once():
    # Mixtral: 32 layers of 2 experts (3 x 4096 x 14336), attention (2 x 4096 x 4096, 2 x 4096 x 1024), router, norms; the head; 16 bits.
    layer = 2 * 3 * 4096 * 14336 + 2 * 4096 * (4096 + 1024) + 8 * 4096 + 2 * 4096
    read = 2 * (32 * layer + 32000 * 4096 + 4096)
    bound_ms = read / (2 * 3350e9) * 1e3
    least = least_ms("mixtral_h100_x2")
    assert least == {key: pytest.approx(bound_ms, rel=1e-3) for key in ("ttft_ms", "tpot_ms")}


@pytest.mark.parametrize("name", NAMES)
def test_limits_are_refused_below_the_bound_alone(name, monkeypatch):
    least = least_ms(name)
    for key, value in least.items():
        run(name, **{f"limits.{key}": value * 1.001})
    assert any("no request met them" in note for note in run(name, limits__impossible="serve", **IMPOSSIBLE).notes)
    monkeypatch.setattr("moeram.experiment.serving.serve", lambda *_, **__: pytest.fail("it was served"))
    for key, value in least.items():
        with pytest.raises(ConfigError, match=f"limits.{key}: given"):
            run(name, **{f"limits.{key}": value * 0.999})


def test_guessed_tokens_share_a_step():
    plain = least_ms("qwen3_sieve")
    guessed = least_ms("qwen3_sieve", batching__draft_tokens=1)
    assert guessed["tpot_ms"] == pytest.approx(plain["tpot_ms"] / 2, rel=1e-3) and guessed["ttft_ms"] == plain["ttft_ms"]


def test_answers_of_one_token_have_no_time_per_token():
    assert least_ms("mixtral_h100_x2", requests__output_tokens=1).keys() == {"ttft_ms"}


def test_limits_that_nobody_wrote_are_noted_not_refused(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("extends: mixtral_h100_x2\nlimits: {ttft_ms: 7}\n", encoding="utf-8")
    written = [
        load_serving(*given).limits.model_fields_set
        for given in (("mixtral_h100_x2",), ("mixtral_h100_x2", ["limits.tpot_ms=50"]), (file,), (file, [], {"limits": {"tpot_ms": 3.0}}))
    ]
    assert written == [set(), {"tpot_ms"}, {"ttft_ms"}, {"ttft_ms", "tpot_ms"}]
    shipped = load_serving("mixtral_h100_x2", values=FEW)
    limits = LimitOptions.model_construct({"ttft_ms"}, ttft_ms=500.0, tpot_ms=1e-6)
    notes = [note for note in run_serving(shipped.model_copy(update={"limits": limits})).notes if "no request can meet it" in note]
    assert len(notes) == 1 and "limits.tpot_ms: 1e-06" in notes[0] and "given" not in notes[0]


def test_a_trace_that_is_not_replayed_as_it_is_says_so(tmp_path):
    file = tmp_path / "trace.csv"
    file.write_text("arrived_at,num_prefill_tokens,num_decode_tokens\n0,30,3\n1.5,60,5\n", encoding="utf-8")
    trace = {"requests__source": "trace", "requests__path": str(file), "requests__count": None}
    changed = [note for note in run("mixtral_h100_x2", **trace).notes if "not replayed" in note]
    assert len(changed) == 1
    assert all(f"requests.{name}" in changed[0] for name in ("rate_per_s 4", "prompt_tokens 40", "output_tokens 4"))
    own = {f"requests__{name}": None for name in ("rate_per_s", "prompt_tokens", "output_tokens")}
    result = run("mixtral_h100_x2", **trace, **own)
    assert not any("not replayed" in note for note in result.notes)
    requests = result.record.requests
    assert requests.arrival_ps.tolist() == [0, 1_500_000_000_000]
    assert requests.prompt_tokens.tolist() == [30, 60] and requests.output_tokens.tolist() == [3, 5]


def test_batching_by_topic_goes_by_the_limit_on_the_first_token():
    """Requests that would wait for their topic are let in at once where everybody is urgent."""
    asked = {
        "batching__max_requests": 2, "batching__policy": "same_topic", "requests__count": 8, "requests__rate_per_s": 1e4,
        "limits__impossible": "serve", "requests__output_tokens": 12,
    }  # fmt: skip
    urgent, patient = (
        run("mixtral_h100_x2", limits__ttft_ms=limit, **asked).record.admitted_ps.tolist() for limit in (1e-6, 1e6)
    )
    assert urgent == sorted(urgent) and patient != sorted(patient)


def test_intervals_too_short_for_the_arrivals_are_refused(monkeypatch):
    monkeypatch.setattr("moeram.experiment.serving.serve", lambda *_, **__: pytest.fail("it was served"))
    with pytest.raises(ConfigError, match=r"every_ms: given 1e-05, but requests arrive over .* allowed: at least"):
        run("mixtral_h100_x2", every_ms=1e-5)


def test_a_run_that_lasts_longer_than_its_intervals_reach_keeps_its_series(monkeypatch):
    monkeypatch.setattr(metrics, "_MOST_INTERVALS", 50)
    result = run("mixtral_h100_x2", requests__rate_per_s=1e4, every_ms=0.1)
    assert len(result["time_series"]) == 50
    assert any(re.search(r"every_ms: intervals of 0.1 ms would be .* has them of [\d.]+ ms", note) for note in result.notes)
    assert not any("every_ms" in note for note in run("mixtral_h100_x2", every_ms=1e3).notes)
