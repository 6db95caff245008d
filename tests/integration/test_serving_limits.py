"""Limits that nobody can meet and intervals that are too short are refused before anything is served."""

from __future__ import annotations

import re

import pytest

from moeram.errors import ConfigError
from moeram.experiment import load_serving, run_serving
from moeram.metrics import serving as metrics

FEW = {"requests.count": 3, "requests.prompt_tokens": 40, "requests.output_tokens": 4}
IMPOSSIBLE = {"limits.ttft_ms": 1e-6, "limits.tpot_ms": 1e-6}
NAMES = ("mixtral_h100_x2", "qwen3_sieve", "mixtral_stratum_l")


def run(name, **values):
    return run_serving(load_serving(name, values={**FEW, **{key.replace("__", "."): value for key, value in values.items()}}))


def least_ms(name, **values):
    """The least times that the refusal names."""
    with pytest.raises(ConfigError, match="no request can meet it") as error:
        run(name, **IMPOSSIBLE, **values)
    found = dict(re.findall(r"limits\.(\w+): given 1e-06, .* takes ([\d.e-]+) ms on", str(error.value)))
    return {key: float(value) for key, value in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_the_least_that_is_named_is_where_limits_begin_to_be_possible(name, monkeypatch):
    least = least_ms(name)
    assert least.keys() == {"ttft_ms", "tpot_ms"}
    # A run of requests that meet nobody is not faster.
    alone = run(name, requests__rate_per_s=0.1, limits__impossible="serve", **IMPOSSIBLE)
    rows = {row["latency"]: row for row in alone["latencies"].rows()}
    assert rows["TTFT"]["p50_ms"] >= least["ttft_ms"] * 0.999 and rows["TPOT"]["p50_ms"] >= least["tpot_ms"] * 0.98
    assert any("no request met them" in note for note in alone.notes)
    for key, value in least.items():
        run(name, **{f"limits.{key}": value * 1.001})
    monkeypatch.setattr("moeram.experiment.serving.serve", lambda *_, **__: pytest.fail("it was served"))
    for key, value in least.items():
        with pytest.raises(ConfigError, match=f"limits.{key}: given"):
            run(name, **{f"limits.{key}": value * 0.999})


def test_guessed_tokens_share_a_step():
    plain, guessed = least_ms("qwen3_sieve"), least_ms("qwen3_sieve", batching__draft_tokens=3)
    assert plain["tpot_ms"] / 4 <= guessed["tpot_ms"] < plain["tpot_ms"]
    assert guessed["ttft_ms"] == pytest.approx(plain["ttft_ms"], rel=0.01)


def test_answers_of_one_token_have_no_time_per_token():
    assert least_ms("mixtral_h100_x2", requests__output_tokens=1).keys() == {"ttft_ms"}


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
