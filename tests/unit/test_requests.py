"""Arrivals: Poisson, and the request traces of other tools."""

from __future__ import annotations

import json

import numpy as np
import pytest

from moeram.errors import ConfigError, TraceError
from moeram.serving.request_files import read_requests
from moeram.serving.requests import poisson_requests

FILES = {
    "azure.csv": "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:47.1805901,12,1\n",
    "splitwise.csv": "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n"
    "0,2,0,7.25,1,374,44\n1,2,0,7.7500001,1,12,1\n",
    "vidur.csv": "arrived_at,num_prefill_tokens,num_decode_tokens\n0.7500001,12,1\n0.25,374,44\n",
    "serving.tsv": "input_toks\toutput_toks\tarrival_time_ns\n374\t44\t0\n12\t1\t500000100\n",
    "serving.jsonl": json.dumps({"input_toks": 374, "output_toks": 44, "arrival_time_ns": 5})
    + "\n"
    + json.dumps({"input_toks": 12, "output_toks": 1, "arrival_time_ns": 500000105})
    + "\n",
}


@pytest.mark.parametrize("name", FILES)
def test_every_layout_gives_the_same_requests(tmp_path, name):
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    requests = read_requests(tmp_path / name)
    assert requests.arrival_ps.tolist() == [0, 500_000_100_000]
    assert requests.prompt_tokens.tolist() == [374, 12]
    assert requests.output_tokens.tolist() == [44, 1]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46,374,0\n", "a.csv:2: GeneratedTokens: given '0'"),
        ("a.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,374,1\n", "a.csv:2: TIMESTAMP: given 'yesterday'"),
        ("a.csv", "TIMESTAMP,ContextToken,GeneratedTokens\n", "no requests"),
        ("a.csv", "TIMESTAMP,ContextToken,GeneratedTokens\nx,1,1\n", "no column 'ContextTokens'; did you mean 'ContextToken'"),
        ("a.csv", "a,b\n1,2\n", "of no known request trace"),
        ("a.csv", "arrived_at,num_prefill_tokens,num_decode_tokens\n0,1.5,2\n", "num_prefill_tokens: given '1.5'"),
        ("a.csv", "arrived_at,num_prefill_tokens,num_decode_tokens\n0,1\n", "a.csv:2: num_decode_tokens: given None"),
        ("a.csv", "arrived_at,num_prefill_tokens,num_decode_tokens\n0,1,1\n1e30,1,1\n", "more than 50 days"),
        ("a.csv", "arrived_at,num_prefill_tokens,num_decode_tokens\nnan,1,1\n", "arrived_at: given 'nan'"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: an object"),
        ("a.jsonl", '{"input_toks": true, "output_toks": 1, "arrival_time_ns": 0}\n', "a.jsonl:1: input_toks: given True"),
        ("a.jsonl", "{", "cannot be read"),
    ],
)  # fmt: skip
def test_bad_traces_name_file_line_and_column(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(TraceError) as error:
        read_requests(tmp_path / name)
    assert message in str(error.value)


def test_poisson_arrivals_have_their_rate_and_its_spread():
    requests = poisson_requests(20_000, rate_per_s=4, prompt_tokens=512, output_tokens=64, rng=np.random.default_rng(1))
    gaps_s = np.diff(requests.arrival_ps) * 1e-12
    assert requests.rate_per_s == pytest.approx(4, rel=0.03)
    # An exponential's standard deviation is its mean.
    assert gaps_s.std() == pytest.approx(0.25, rel=0.03)
    again = poisson_requests(20_000, rate_per_s=4, prompt_tokens=512, output_tokens=64, rng=np.random.default_rng(1))
    assert np.array_equal(requests.arrival_ps, again.arrival_ps)
    with pytest.raises(ConfigError, match="rate_per_s"):
        poisson_requests(3, rate_per_s=0, prompt_tokens=1, output_tokens=1, rng=np.random.default_rng(1))


def test_caps_cut_and_leave_the_rest(tmp_path):
    (tmp_path / "a.csv").write_text(FILES["azure.csv"], encoding="utf-8")
    cut = read_requests(tmp_path / "a.csv").capped(100, 20)
    assert cut.prompt_tokens.tolist() == [100, 12]
    assert cut.output_tokens.tolist() == [20, 1]
    with pytest.raises(TraceError, match="3 requests are wanted, it has 2"):
        cut.first(3)


def test_real_azure_traces(shared):
    for name, count, longest in (("code", 8819, 7437), ("conv", 19366, 14050)):
        requests = read_requests(shared / "data" / "requests" / f"AzureLLMInferenceTrace_{name}.csv")
        assert len(requests) == count
        assert requests.prompt_tokens.max() == longest
        assert 1 < requests.rate_per_s < 10
