"""A DRAM standard given by path decides a result by what its files say: an edited one is never answered from what was known before."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import moeram
from moeram import experiment, runs
from moeram.errors import ConfigError
from moeram.experiment import load_serving
from moeram.hardware import (
    CycleOptions,
    KernelMemo,
    Stream,
    StreamMemory,
    cycle,
    load_system,
    lower_attention,
    run_attention,
    run_streams,
)
from moeram.hardware.lowering import lower_counts
from moeram.hardware.near_memory_layers import NearMemoryLayers
from moeram.hardware.standard_files import standard_files
from moeram.model import load_model
from moeram.options import config_path
from moeram.runs import read_sweep, run_key, run_sweep

FAST, SLOW = "name: nROW, formula: up(8.0)", "name: nROW, formula: up(30.0)"
OPTIONS = CycleOptions(
    hidden_size=2048, intermediate_size=1024, bits_per_weight=16, bytes_per_activation=2, result_row=32767, threads=1
)


@pytest.fixture(params=["itself", "extended", "included"])
def standard(request, tmp_path):
    """A standard's file and a function that makes its rows slower: in itself, or in another file that is part of it."""
    text = config_path("standards", "Mono3D@1").read_text()
    top = edited = tmp_path / "my.yaml"
    if request.param == "extended":
        edited = tmp_path / "base.yaml"
        (tmp_path / "middle.yaml").write_text(f"extends: {edited}\nedition: middle\n")
        top.write_text(f"extends: {tmp_path / 'middle.yaml'}\nedition: top\n")
    elif request.param == "included":
        edited = tmp_path / "parts" / "timing.yaml"
        edited.parent.mkdir()
        lines = text.splitlines()
        begin = lines.index("timing:")
        end = next(i for i in range(begin + 1, len(lines)) if lines[i][:1].strip() not in ("", "#"))
        top.write_text("\n".join([*lines[:begin], f"timing: !include {edited}", *lines[end:]]))
        text = "\n".join(line[2:] for line in lines[begin + 1 : end])
    assert FAST in text
    edited.write_text(text)
    return top, lambda: edited.write_text(text.replace(FAST, SLOW))


def chips(path):
    return load_system("stratum_s", {"device": {"standard": str(path)}})


def of_cycle(path, memo):
    work = lower_counts(np.array([[0, 24]]), np.array([[4, 1]]), batch=5)
    return cycle.run(work, chips(path), OPTIONS, memo).time_ps.tolist()


def of_layers(path, memo):
    layers = NearMemoryLayers(chips(path), OPTIONS, rows_per_expert=24, memo=memo)
    return layers.time_ps(np.array([[0, 24]]), np.array([[4, 1]]), batch=5).tolist()


def of_attention(path, memo):
    work = lower_attention(load_model("mixtral-8x7b"), [700], chips(path), first_row=0, rows=2000, layers=1)
    return run_attention(work, chips(path), result_row=32767, threads=1, memo=memo).time_ps.tolist()


@pytest.mark.parametrize("times", [of_cycle, of_layers, of_attention])
@pytest.mark.parametrize("same_process", [True, False])
def test_an_edited_standard_is_simulated_anew(standard, times, same_process, tmp_path):
    path, edit = standard
    memo = KernelMemo(tmp_path / "memo")
    fast = times(path, memo)
    edit()
    slow = times(path, memo if same_process else KernelMemo(tmp_path / "memo"))
    copy = tmp_path / "never_seen.yaml"
    shutil.copy(path, copy)
    assert slow == times(copy, None) > fast


def test_a_stream_knows_what_its_standard_extends(tmp_path):
    top, base = tmp_path / "top.yaml", tmp_path / "base.yaml"
    text = config_path("standards", "HBM3@2.1").read_text()
    base.write_text(text)
    top.write_text(f"extends: {base}\nedition: mine\n")
    memory = StreamMemory(standard=str(top), organization="HBM3_16Gb_8hi", timing="HBM3_6400Mbps", sizes={"channel": 1})
    stream, memo = [Stream(base_bytes=0, extent_bytes=1 << 20)], KernelMemo(tmp_path / "memo")
    before = run_streams(stream, memory, memo=memo).time_ps
    base.write_text("extends: HBM3@2.1\n" + "edition: base\norganization: {}\n")
    assert run_streams(stream, memory, memo=memo).time_ps == before and memo.counts.hits == 0
    assert run_streams(stream, replace(memory, standard=str(top)), memo=memo).time_ps == before and memo.counts.hits == 1


def test_files_are_found_where_the_engine_finds_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "parts").mkdir()
    texts = {
        "top.yaml": "extends: base.yml\na: {b: [!include parts/one.txt, !include absent.yaml]}\n",
        "base.yml": "extends: HBM3@2.1\n<<: {extends: top.yaml}\n",
        "parts/one.txt": "c: !include two.yaml\n",
        "parts/two.yaml": "[1, 2]\n",
        "two.yaml": "not this one\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    assert list(standard_files("top.yaml")) == ["top.yaml", "base.yml", "parts/one.txt", "parts/two.yaml"]
    assert standard_files("HBM3@2.1") == standard_files("nowhere.yaml") == {}
    (tmp_path / "two.yaml").write_text("a: 1\nb: [\n")
    with pytest.raises(ConfigError, match=r"two.yaml:\d: not readable as YAML"):
        standard_files("two.yaml")


def given(path):
    return [f"hardware_values.device.standard={path}", "batch=[1]", "samples=1", "threads=1"]


def test_the_key_of_a_run_follows_the_standards_files(standard, tmp_path):
    path, edit = standard
    options = experiment.load("quickstart", given(path))
    key = run_key(options, "1")
    copy = tmp_path / "copy.yaml"
    shutil.copy(path, copy)
    assert run_key(experiment.load("quickstart", given(copy)), "1") == key  # places do not count
    edit()
    assert run_key(options, "1") != key


@pytest.mark.parametrize("system", ["stratum_s", "mono3d_sieve"])
def test_the_key_of_a_serving_run_too(standard, system, tmp_path):
    path, edit = standard
    hardware = tmp_path / "chips.yaml"
    hardware.write_text(f"extends: stratum_s\ndevice: {{standard: {path}}}\n")
    memory = hardware
    if system == "mono3d_sieve":
        memory = tmp_path / "memory.yaml"
        memory.write_text(f"extends: mono3d_l\nchips: {hardware}\n")
    name = "mixtral_stratum_l" if system == "stratum_s" else "qwen3_sieve"
    options = load_serving(name, [f"system={system}", f"system_values.memory={memory}"])
    key = run_key(options, "1")
    edit()
    assert run_key(options, "1") != key


def test_a_sweep_over_an_edited_standard_computes_anew(standard, tmp_path):
    path, edit = standard
    sweep = read_sweep("quickstart", ["seed=0"], given(path))

    def times():
        result = run_sweep(sweep, tmp_path / "sweep", "1", workers=1)
        assert result.failed == 0
        return result.found, result.table("points")["step_time_us"].tolist()

    first, again = times(), times()
    edit()
    edited = times()
    assert (first[0], again[0], edited[0]) == (0, 1, 0)
    assert again[1] == first[1] and all(np.array(edited[1]) > first[1])


def test_provenance_names_the_standards_files(standard, tmp_path):
    path, _ = standard
    runs.save(moeram.run("quickstart", **{"batch": [1], "samples": 1, "hardware_values.device.standard": str(path)}), tmp_path / "out", "1")
    told = json.loads((tmp_path / "out" / "provenance.json").read_text())["inputs_sha256"]
    assert told == standard_files(str(path)) and str(path) in told
