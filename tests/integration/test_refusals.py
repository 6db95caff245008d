"""What cannot go on, or would change nothing without a word, ends in one message."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from moeram.errors import ConfigError, MoeramError
from moeram.experiment import load_serving, run_serving
from moeram.hardware import load_system
from moeram.runs.points import read_sweep
from moeram.serving.system import load_serving_system


@pytest.fixture
def shared_pim(repository, moeram_sim, tmp_path):
    """Run the example of units and GPU on one memory with one place of its configuration changed; what it says on standard error."""

    def run(old: str, new: str) -> str:
        shutil.copytree(repository / "examples" / "shared_pim", tmp_path, dirs_exist_ok=True)
        config = (tmp_path / "config.yaml").read_text()
        assert config.count(old) == 1
        (tmp_path / "config.yaml").write_text(config.replace(old, new))
        done = subprocess.run(
            [str(moeram_sim), "-f", "config.yaml"],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 2 and done.stdout == "", done.stderr
        return done.stderr

    return run


def test_refreshes_that_leave_no_time_are_noticed(shared_pim):
    """800 cycles of refresh every 700: refreshes are issued for ever, but no request is served."""
    said = shared_pim("HBM3E_8000Mbps}", "HBM3E_8000Mbps, nREFI: 700}")
    assert re.search(r"program.txt:\d+: .* no request of the program .* was completed .* blocked: open-banks", said), (
        said
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("UnitsFirst, cap", "UnitFirst, cap", "Sharing 'UnitFirst' is unknown; did you mean 'UnitsFirst'"),
        ("impl: HBM3@sieve", "impl: HBM3@sieve\n    faults: [sizes_unchecked]", "'none', 'all' or a map"),
    ],
)
def test_wrong_words_are_named(shared_pim, old, new, message):
    assert message in shared_pim(old, new)


def test_an_unknown_level_of_refreshes_is_refused(repository, moeram_sim, shared_pim, tmp_path):
    """Without the refusal the memory would never refresh."""
    text = (repository / "configs" / "standards" / "HBM3@sieve.yaml").read_text()
    (level,) = re.findall(r"refresh: \{.*level: (\w+)", text)
    (tmp_path / "mine.yaml").write_text(re.sub(r"(refresh: \{.*level: )\w+", rf"\1{level}k", text))
    said = shared_pim("impl: HBM3@sieve", "impl: mine.yaml")
    assert (
        f"mine.yaml:{text[: re.search(r'refresh: .*level', text).start()].count(chr(10)) + 1}" in said
        and f"{level}k" in said
    )


@pytest.mark.parametrize(
    "contention",
    [
        {"policy": "host_first", "row_buffers": "alternating"},
        {"policy": "oldest_first", "cap": 2000},
        {"policy": "time_slices"},
        {"policy": "units_first", "host_slice": 1000, "units_slice": 1000},
    ],
)
def test_contention_that_cannot_be_is_refused(contention):
    """The first would let the units wait for ever."""
    with pytest.raises(ConfigError, match="contention: "):
        load_serving("qwen3_sieve", (), {"contention": contention})


def test_a_changed_system_is_no_published_one():
    assert load_serving_system("b200_pim_x1").in_paper
    changed = load_serving_system("b200_pim_x1", {"gpu": "h100_sxm"})
    assert not changed.in_paper and changed.description.endswith("changed: gpu")


def test_a_key_of_a_sweep_is_given_once():
    with pytest.raises(ConfigError, match="--over seed: given twice; write --over seed=A,B"):
        read_sweep("quickstart", ["seed=0", "seed=1"])
    with pytest.raises(ConfigError, match="seed: in --over and in -p"):
        read_sweep("quickstart", ["seed=0,1"], ["seed=3"])


@pytest.mark.parametrize(
    ("device", "message"),
    [("NVIDIA B200", "the tables are of NVIDIA B200, h100_x2 has NVIDIA H100"), ("NVIDIA H100 PCIe", "wanted moe")],
)
def test_tables_of_another_gpu_are_refused(tmp_path, device, message):
    """Those of the right one get as far as the question whether they have the model's shapes."""
    table = tmp_path / "moe.csv"
    table.write_text(
        "device,op_name,moe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size,distribution,latency\n"
        f"{device},moe,bfloat16,8,512,512,2,8,1,1,balanced,0.1\n"
    )
    experiment = load_serving("mixtral_h100_x2", (), {"measured": [str(table)], "requests.count": 1})
    with pytest.raises(ConfigError, match=message):
        run_serving(experiment)


@pytest.mark.parametrize(
    ("system", "values", "key"),
    [
        ("b200_pim_x1", {"links": {"latency_ns": 9000}}, "links.latency_ns"),
        ("b200_pim_x1", {"links": {"topology": "ring"}}, "links.topology"),
        ("b200_pim_x1", {"gpu_pim": {"dense": "sharded"}}, "gpu_pim.dense"),
        ("h100_x2", {"gpus": 1, "experts": "expert"}, "experts"),
        ("stratum_l", {"links": {"mode": "event"}}, "links.mode"),
    ],
)
def test_what_joins_several_gpus_is_refused_for_one(system, values, key):
    with pytest.raises(ConfigError, match=rf"^system_values\.{key}: given, but .* has one GPU"):
        load_serving_system(system, values)


@pytest.mark.parametrize(
    ("links", "said"),
    [
        ({"topology": "mesh"}, "missing, a mesh of 4 GPUs"),
        ({"topology": "mesh", "columns": 3}, "given 3, a mesh of 4 GPUs"),
        ({"columns": 2}, "given for a switch"),
    ],
)
def test_columns_of_a_mesh_are_named_in_full(links, said):
    with pytest.raises(ConfigError, match=rf"^system_values\.links\.columns: {said}"):
        load_serving_system("b200_pim_x4", {"links": links})
    assert load_serving_system("b200_pim_x4", {"links": {"topology": "mesh", "columns": 2}}).network().topology.rows == 2


def test_a_file_of_one_gpu_is_held_to_what_it_says_itself(tmp_path):
    """Links of a system that is made smaller are its own; in a sweep over the number of GPUs they matter again."""
    assert load_serving_system("b200_pim_x4", {"gpus": 1}).links.link_gb_per_s == 900
    file = tmp_path / "mine.yaml"
    file.write_text("extends: b200_pim_x4\ngpus: 1\n")
    assert load_serving_system(file).gpus == 1
    file.write_text("extends: b200_pim_x4\ngpus: 1\nlinks: {latency_ns: 1 ns}\n")
    with pytest.raises(ConfigError, match=r"mine.yaml:3: links.latency_ns: given, but .* one GPU"):
        load_serving_system(file)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"links": {"topologie": "ring"}}, "system_values.links.topologie: unknown key; did you mean 'topology'?"),
        ({"gpu_pim": {"dense": "shared"}}, "system_values.gpu_pim.dense: given 'shared'; did you mean 'sharded'?"),
        ({"gpus": 0}, "system_values.gpus: given 0, allowed: at least 1"),
        ({"gpu": "b2000"}, "system_values.gpu: gpus: no config named 'b2000'; did you mean 'b200'"),
        ({"memory": "hbm3e_pin"}, "system_values.memory: memories: no config named 'hbm3e_pin'; did you mean 'hbm3e_pim'"),
    ],
)
def test_wrong_values_of_a_system_are_named_by_the_users_key(values, message):
    with pytest.raises(ConfigError) as error:
        run_serving(load_serving("qwen3_sieve", values={"system_values": values}))
    assert message in str(error.value) and ".yaml" not in str(error.value)


@pytest.mark.parametrize(
    ("policy", "interleaved", "key"),
    [("gpu_only", True, "pim_times"), ("gpu_only", True, "contention"), ("no_experts", False, "contention"), ("papi", False, "contention")],
)  # fmt: skip
def test_options_of_units_that_do_nothing_are_refused(policy, interleaved, key):
    values = {"schedule.policy": policy, "system_values": {"gpu_pim": {"interleaved": interleaved}}}
    values |= {"pim_times": "engine"} if key == "pim_times" else {"contention": {}}
    with pytest.raises(ConfigError, match=f"{key}: given, but .*schedule.policy {policy}"):
        run_serving(load_serving("qwen3_sieve", values=values))


@pytest.mark.parametrize("option", [{"experts": "expert"}, {"deal_every_steps": 4}])
def test_experts_of_computing_memory_are_not_dealt_anew(option):
    with pytest.raises(ConfigError, match=rf"{next(iter(option))} is given, .*allowed: kind gpus"):
        load_serving_system("b200_pim_x4", option)


def test_wrong_values_of_hardware_are_named_by_the_users_key():
    with pytest.raises(ConfigError, match=r"hardware_values.device.tierz: unknown key; did you mean 'tiers'"):
        load_system("stratum_s", {"device": {"tierz": 3}})


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("qwen3_sieve", {"requests.prompt_tokens": 10**8}, "request 0 needs keys and values of 100000128 tokens, the memory has room for 4"),
        ("mixtral_stratum_l", {"placement.context_tokens": 10}, "placement.context_tokens"),
        ("mixtral_h100_x2", {"system": "h100_x1"}, "mixtral-8x7b needs .*more GPUs"),
        ("qwen3_sieve", {"system": "b200_pim_x2"}, "system: given 'b200_pim_x2': .*did you mean 'b200_pim_x"),
        ("qwen3_sieve", {"schedule.policy": "seive"}, "schedule.policy.*did you mean 'sieve'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_or_has_no_name_is_said_with_its_key(name, values, message):
    with pytest.raises(MoeramError, match=message):
        run_serving(load_serving(name, values=values))
