"""C++ programs and plug-ins outside the project: found by find_package, built, run and held against moeram-sim."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import moeram


def command(*words: object, folder: Path) -> str:
    done = subprocess.run([str(word) for word in words], check=False, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def cmake():
    """The cmake beside this Python (a test requirement), else the system's."""
    beside = Path(sys.executable).parent / "cmake"
    found = beside if beside.exists() else shutil.which("cmake")
    assert found, "cmake is a requirement of the tests"
    return found


def build(cmake, example: Path, folder: Path) -> Path:
    """Configure and build an example as a user would; the folder with what came out."""
    command(cmake, "-S", example, "-B", folder, f"-DCMAKE_PREFIX_PATH={moeram.cmake_prefix()}", folder=folder.parent)
    command(cmake, "--build", folder, folder=folder.parent)
    return folder


@pytest.fixture(scope="module")
def plugin(cmake, repository, tmp_path_factory):
    """The example plug-in's library."""
    return build(cmake, repository / "examples" / "plugin", tmp_path_factory.mktemp("plugin") / "build") / "row_plugin.so"


@pytest.fixture
def simulate(moeram_sim, repository, tmp_path):
    """Run a config in a scratch folder with the examples' trace beside it."""

    def simulate(config: str, *arguments: str, ok: bool = True) -> subprocess.CompletedProcess:
        (tmp_path / "config.yaml").write_text(config)
        shutil.copy(repository / "examples" / "ddr4" / "mixed.trace", tmp_path)
        done = subprocess.run(
            [str(moeram_sim), "-f", "config.yaml", *arguments], check=False, cwd=tmp_path, capture_output=True, text=True
        )
        assert (done.returncode == 0) is ok, done.stderr
        return done

    return simulate


def test_the_example_host(cmake, repository, tmp_path):
    """A chase cannot beat the unloaded latency nor a stream the pins; both memories count their own requests."""
    program = build(cmake, repository / "examples" / "cpp_host", tmp_path / "build") / "cpp_host"
    text = command(program, repository / "examples" / "cpp_host" / "memory.yaml", folder=tmp_path)
    latency_ns, gb_per_s = (float(value) for value in re.findall(r"^\w+: ([\d.]+)$", text, re.MULTILINE)[:2])
    tck_ns = 0.833
    assert 36 * tck_ns <= latency_ns <= 80 * tck_ns  # nRCD 16 + nCL 16 + nBL 4; at most nRP, nRAS and refreshes more
    assert 0.85 * 64 / (4 * tck_ns) <= gb_per_s <= 64 / (4 * tck_ns)  # a burst of 64 bytes takes nBL 4
    assert re.findall(r"total_num_read_requests: (\d+)", text) == ["1000", "20000"]
    assert "impl: RoBaRaCoCh" in text and "impl: MOP4CLXOR" in text
    lost = subprocess.run([str(program), "nowhere.yaml"], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert lost.returncode == 2 and lost.stderr == "cpp_host: nowhere.yaml: no such file\n"


def test_the_example_plugin(plugin, repository, simulate, tmp_path):
    """The policy's commands are those of the built-in policy with the same rule, and the listener counts the activations."""
    config = (repository / "examples" / "plugin" / "config.yaml").read_text().replace("../ddr4/", "")
    ours = simulate(config.replace("row_plugin.so", str(plugin)), "--lists")
    commands = (tmp_path / "out" / "cmd.ch0").read_text()
    policy = "{impl: CloseAfter, library: row_plugin.so, accesses: 4}"
    assert policy in config
    builtin = config.replace(policy, "{impl: ClosedRowPolicy, cap: 4}").replace(
        "      - ControllerPlugin: {impl: RowHeat, library: row_plugin.so}\n", ""
    )
    reference = yaml.safe_load(simulate(builtin, "--lists").stdout)["MemorySystem"]["Controller"][0]
    assert (tmp_path / "out" / "cmd.ch0").read_text() == commands
    controller = yaml.safe_load(ours.stdout)["MemorySystem"]["Controller"][0]
    assert controller["RowPolicy"] == {"impl": "CloseAfter", "closed": reference["RowPolicy"]["num_close_reqs"]}
    assert controller["RowPolicy"]["closed"] > 10
    banks = [tuple(line.split(", ")[2:6]) for line in commands.splitlines() if line.split(", ")[1] == "ACT"]
    heat = controller["ControllerPlugin"][0]
    assert heat["impl"] == "RowHeat" and heat["activations"] == len(banks) and heat["activations_in_lock_step"] == 0
    assert heat["activations_of_hottest_bank"] == max(banks.count(bank) for bank in set(banks))
    assert heat["activations_per_bank"] == len(banks) / 32


def test_the_example_listener_on_a_memory_that_computes(plugin, simulate, tmp_path):
    """Two reads open a row each; the command that opens all banks together names none of them."""
    (tmp_path / "program.txt").write_text("MEM RD 0 3 5\nMEM RD 0 30 5\nPIM OPEN 1 0 7\nPIM MAC 4 1 0 7\nPIM END\n")
    config = f"""
Frontend: {{impl: AiMTrace, path: program.txt, clock_ratio: 1}}
MemorySystem:
  impl: AiMDRAM
  clock_ratio: 1
  DRAM: {{impl: HBM3@sieve, org: {{preset: HBM3E_dual}}, timing: {{preset: HBM3E_8000Mbps}}}}
  Controller:
    impl: AiM
    Scheduler: {{impl: FRFCFS}}
    RefreshManager: {{impl: "No"}}
    plugins: [{{ControllerPlugin: {{impl: RowHeat, library: {plugin}}}}}]
  AddrMapper: {{impl: RoBaRaCoCh}}
"""
    (controller,) = yaml.safe_load(simulate(config, "--lists").stdout)["MemorySystem"]["Controller"]
    assert (controller["num_ACT_commands"], controller["num_ACTAB_commands"]) == (2, 1)
    expected = {"impl": "RowHeat", "activations": 2, "activations_in_lock_step": 1, "activations_of_hottest_bank": 1, "activations_per_bank": pytest.approx(2 / 48)}
    assert controller["ControllerPlugin"] == [expected]
    refused = simulate(config.replace("impl: RowHeat,", "impl: RowHeat, heat: 3,"), ok=False).stderr
    assert "heat" in refused


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("impl: CloseAfter", "impl: CloseAfte", "has no row policy 'CloseAfte'; did you mean 'CloseAfter'?"),
        ("impl: CloseAfter", "impl: RowHeat", "has no row policy 'RowHeat'"),
        ("accesses: 4", "accesses: four", "config.yaml:18: MemorySystem.Controller.RowPolicy: CloseAfter: accesses: 'four'"),
        ("accesses: 4", "accesses: 0", "accesses must be at least 1"),
        ("accesses: 4", "acceses: 4", "did you mean 'accesses'?"),
        ("accesses: 4", "accesses: [4]", "a single value is expected"),
        ("impl: DDR4\n", "impl: HBM3\n", "HBM3"),
    ],
)
def test_what_a_plugin_refuses(plugin, repository, simulate, old, new, message):
    """One message with the place in the configuration."""
    config = (repository / "examples" / "plugin" / "config.yaml").read_text().replace("../ddr4/", "")
    config = config.replace("row_plugin.so", str(plugin))
    if "HBM3" in new:
        config = config.replace("{preset: DDR4_8Gb_x8, rank: 2}", "{preset: HBM3_4Gb}").replace("DDR4_2400R", "HBM3_2Gbps")
        message = "CloseAfter: HBM3 has no request close-row"
    assert old in config
    done = simulate(config.replace(old, new), ok=False)
    assert done.returncode == 2 and message in done.stderr, done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("int other(void) { return 0; }", "exports no moeram_plugin_entry"),
        (
            ('#include "moeram/plugin_abi.h"\nstatic const moeram_plugin p = {99, 0, 0};\n'
            "const moeram_plugin* moeram_plugin_entry(void) { return &p; }"),
            "was built for version 99 of the plug-in interface",
        ),
        (None, "cannot be loaded"),
        ("missing", "no such library"),
    ],
)
def test_other_libraries_are_refused(simulate, repository, tmp_path, source, message):
    """The interface is plain C: a C compiler is enough. Its version is looked at before anything else."""
    library = tmp_path / "other.so"
    if source is None:
        library.write_text("no library")
    elif source != "missing":
        compiler = shutil.which("cc") or shutil.which("gcc")
        assert compiler, "a C compiler is a requirement of the build"
        (tmp_path / "other.c").write_text(source + "\n")
        include = moeram.cmake_prefix() / "include"
        command(compiler, "-shared", "-fPIC", "-std=c99", "-I", include, "-o", library, "other.c", folder=tmp_path)
    config = (repository / "examples" / "plugin" / "config.yaml").read_text().replace("../ddr4/", "")
    done = simulate(config.replace("row_plugin.so", "other.so"), ok=False)
    assert f"config.yaml:18: MemorySystem.Controller.RowPolicy.library: other.so: {message}" in done.stderr or (
        message in done.stderr and "other.so" in done.stderr
    ), done.stderr
