"""Which points a sweep has."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from moeram.cli.main import app
from moeram.errors import ConfigError
from moeram.runs import read_sweep, run_key, run_sweep, shown
from moeram.runs.points import kind_and_name, points_of


def values(sweep):
    return [point.values for point in points_of(sweep)]


def test_the_first_key_varies_slowest():
    sweep = read_sweep("quickstart", ["batch=1,[2,4]", "seed=3..5"])
    assert values(sweep) == [{"batch": batch, "seed": seed} for batch in (1, (2, 4)) for seed in (3, 4, 5)]
    assert points_of(sweep)[5].load().batch == (2, 4)
    assert points_of(sweep)[5].load().seed == 5


def test_a_file_gives_a_grid_and_points(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "name: mine\nexperiment: qwen3_sieve\nfixed: {requests.count: 3}\n"
        "over: {requests.rate_per_s: [1, 2]}\npoints:\n  - {system: b200_pim_x1}\n  - {system: b200_pim_x4, seed: 7}\n"
    )
    sweep = read_sweep(file, ["batching.max_requests=5"], ["requests.output_tokens=2"])
    assert [tuple(point.values()) for point in values(sweep)] == [
        (3, 2, "b200_pim_x1", 1, 5), (3, 2, "b200_pim_x1", 2, 5), (3, 2, "b200_pim_x4", 7, 1, 5), (3, 2, "b200_pim_x4", 7, 2, 5),
    ]  # fmt: skip
    assert sweep.keys == ("system", "seed", "requests.rate_per_s", "batching.max_requests")
    loaded = points_of(sweep)[-1].load()
    assert (loaded.requests.count, loaded.requests.output_tokens, loaded.requests.rate_per_s, loaded.seed) == (
        3,
        2,
        2,
        7,
    )


def test_both_kinds_of_experiments_are_told_apart(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: qwen3_sieve\n")
    (tmp_path / "b.yaml").write_text("extends: quickstart\n")
    assert kind_and_name("qwen3_sieve") == ("serving", "qwen3_sieve")
    assert kind_and_name("quickstart") == ("step", "quickstart")
    assert kind_and_name(tmp_path / "a.yaml")[0] == "serving"
    assert kind_and_name(tmp_path / "b.yaml")[0] == "step"
    assert kind_and_name("serving:mixtral_stratum_l") == ("serving", "mixtral_stratum_l")
    with pytest.raises(ConfigError, match="write serving:mixtral_stratum_l or step:mixtral_stratum_l"):
        kind_and_name("mixtral_stratum_l")


@pytest.mark.parametrize(
    ("name", "over", "message"),
    [
        ("quickstar", ["batch=1"], "did you mean 'quickstart'"),
        ("quickstart", [], "nothing varies"),
        ("quickstart", ["batch"], "KEY=VALUE"),
        ("quickstart", ["batch="], "at least one"),
        ("quickstart", ["seed=5..3"], "FIRST..LAST"),
        ("quickstart", ["seed=0..999", "samples=1..1001"], "at most 1000000"),
        ("nowhere.yaml", ["batch=1"], "no such file"),
    ],
)
def test_wrong_sweeps_are_named(name, over, message):
    with pytest.raises(ConfigError, match=message):
        read_sweep(name, over).values()


def test_a_key_may_not_vary_twice(tmp_path):
    file = tmp_path / "twice.yaml"
    file.write_text("name: twice\nexperiment: quickstart\nover: {batch: [1]}\npoints: [{batch: 2}]\n")
    with pytest.raises(ConfigError, match="'batch' is in over and in points"):
        read_sweep(file).values()


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("quickstart", "batch", 2), ("quickstart", "seed", 1), ("quickstart", "overlap.silu", False),
        ("quickstart", "routing.synthetic.topics", 2), ("quickstart", "hardware", "stratum_l"),
        ("qwen3_sieve", "requests.rate_per_s", 41), ("qwen3_sieve", "schedule.options", {"scheduler_us": 1}),
        ("qwen3_sieve", "system", "b200_pim_x4"), ("qwen3_sieve", "batching.draft_tokens", 1),
        ("qwen3_sieve", "limits.ttft_ms", 499.0),
    ],
)  # fmt: skip
def test_every_key_decides_the_runs_key(name, key, value):
    plain = points_of(read_sweep(name, ["threads=1"]))[0].load()
    (changed,) = points_of(read_sweep(name, ["threads=2"], []).model_copy(update={"points": ({key: value},)}))
    assert run_key(changed.load(), "1") != run_key(plain, "1")
    assert run_key(plain, "1") != run_key(plain, "2")
    assert run_key(plain.model_copy(update={"threads": 7}), "1") == run_key(plain, "1")


def test_a_wrong_key_of_a_sweep_is_named_as_the_user_wrote_it():
    sweep = read_sweep("qwen3_sieve", ["batching.max_request=1,2"])
    with pytest.raises(ConfigError, match=r"^sweep qwen3_sieve: batching.max_request: unknown key; did you mean 'max_requests'"):
        points_of(sweep)[0].load()


def test_names_of_both_kinds_are_listed_once():
    with pytest.raises(ConfigError) as error:
        kind_and_name("zzz")
    names = str(error.value).split("allowed: ")[1].split(", ")
    assert "mixtral_stratum_l" in names and len(names) == len(set(names))


@pytest.mark.parametrize(
    ("name", "table", "columns", "message"),
    [
        ("qwen3_sieve", "throughpt", (), "no table 'throughpt'; did you mean 'throughput'"),
        ("qwen3_sieve", "points", (), "no table 'points'"),
        ("quickstart", None, ("step_time",), "no column 'step_time'; did you mean 'step_time_us'"),
        ("qwen3_sieve", None, ("tokens_per_sec",), "did you mean 'tokens_per_s'"),
        ("qwen3_sieve", None, ("tokens_per_s", "seeds"), "did you mean 'seed'"),
    ],
)
def test_what_no_table_has_is_refused_before_anything_runs(tmp_path, name, table, columns, message):
    with pytest.raises(ConfigError, match=message):
        run_sweep(read_sweep(name, ["seed=0,1"]), tmp_path / "out", "1", table=table, columns=columns)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "seed"], "--against says what a figure is drawn against"),
        (["--figure", "f.svg", "--metric", "tokens_per_s"], "f.svg: given '.svg', allowed: a file that ends with .png"),
        (["--figure", "nowhere/f.png", "--metric", "tokens_per_s"], "nowhere is not a folder"),
        (["--export", "nowhere/t.csv"], "nowhere is not a folder"),
        (["--export", "t.txt"], "t.txt: given '.txt', allowed: a file that ends with .csv or .parquet"),
        (["--figure", "f.png", "--metric", "tokens_per_s", "--against", "a,b,c"], "against one or two keys"),
        (["--figure", "f.png", "--metric", "tokens_per_s", "--against", "seed,requests.count"], "requests.count has 30 values"),
        (["--figure", "f.png", "--metric", "tokens_per_s", "--against", "sed"], "did you mean 'seed'"),
        (["--table", "latency"], "did you mean 'latencies'"),
        (["--columns", "tokens,nothing"], "no column 'nothing'"),
    ],
)  # fmt: skip
def test_what_a_sweep_is_to_write_is_checked_before_its_first_point(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    swept = ["--over", "seed=0,1", "--over", "requests.count=1..30"]
    answer = CliRunner().invoke(app, ["sweep", "qwen3_sieve", *swept, *arguments, "--workers", "1"])
    assert answer.exit_code == 2 and message in answer.output, answer.output
    assert list(tmp_path.iterdir()) == []


def test_rows_of_a_point_keep_their_names_beside_chosen_columns(tmp_path):
    sweep = read_sweep("qwen3_sieve", ["seed=0,1"], ["requests.count=2", "requests.output_tokens=2"])
    result = run_sweep(sweep, tmp_path / "out", "1", workers=1)
    assert list(shown(result, result.table("latencies"), ["mean_ms"]).columns) == ["seed", "latency", "mean_ms"]
    assert list(shown(result, result.table("throughput"), ["tokens_per_s"]).columns) == ["seed", "tokens_per_s"]
