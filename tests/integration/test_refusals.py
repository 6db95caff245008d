"""What cannot go on, or would change nothing without a word, ends in one message."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from moeram.errors import ConfigError
from moeram.experiment import load_serving, run_serving
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
