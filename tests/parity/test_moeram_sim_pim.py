"""moeram-sim on memories that compute: plug-ins hear of every command, runs can be bounded, statistics come as lists."""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

CONFIG = """\
Frontend: {impl: AiMTrace, path: program.txt, clock_ratio: 1}
MemorySystem:
  impl: AiMDRAM
  clock_ratio: 1
  DRAM: {impl: HBM3@sieve, org: {preset: HBM3E_dual, channel: 2}, timing: {preset: HBM3E_8000Mbps}}
  Controller:
    impl: AiM
    Scheduler: {impl: FRFCFS}
    RefreshManager: {impl: "No"}
  AddrMapper: {impl: RoBaRaCoCh}
"""
PROGRAM = """\
PIM OPEN 3 0 7
PIM MAC 32 3 0 7
PIM OPEN 1 24 7
PIM MAC 8 1 24 7
PIM CLOSE 1 0
PIM OPEN 1 0 7
PIM RDRES 1 3
PIM END
"""
PLUGINS = """\
    plugins:
    - ControllerPlugin: {impl: TraceRecorder, path: out/commands}
    - ControllerPlugin: {impl: CommandCounter, path: out/counts, commands_to_count: [MACAB, WR]}
    - ControllerPlugin: {impl: ActivationMeter}
"""


@pytest.fixture
def run(moeram_sim, tmp_path):
    """Runs moeram-sim on a configuration and a program in a scratch folder."""

    def run(*words: str, config: str = CONFIG, program: str = PROGRAM, **files: str) -> subprocess.CompletedProcess:
        for name, text in (("config.yaml", config), ("program.txt", program), *((f"{name}.txt", text) for name, text in files.items())):
            (tmp_path / name).write_text(text)
        command = [str(moeram_sim), "-f", "config.yaml", *words]
        return subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    return run


def with_plugins(config=CONFIG):
    return config.replace('    RefreshManager: {impl: "No"}\n', '    RefreshManager: {impl: "No"}\n' + PLUGINS)


def refused(done, message):
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert re.search(message, done.stderr), done.stderr


def test_plugins_hear_of_every_command(run, tmp_path):
    plain, listed = run("--lists"), run("--lists", config=with_plugins())
    assert listed.returncode == 0, listed.stderr
    controllers = yaml.safe_load(listed.stdout)["MemorySystem"]["Controller"]
    assert [one["id"] for one in controllers] == ["Channel 0", "Channel 1"]
    # Row 7 of the first row buffer is opened twice in all 24 banks of channel 0, that of the second once; in channel 1 once.
    for channel, most, macs in ((0, 2, 40), (1, 1, 32)):
        (meter,) = controllers[channel].pop("ControllerPlugin")
        assert (meter["impl"], meter[f"max_act_per_row_{channel}"], meter[f"max_act_bank_{channel}"]) == ("ActivationMeter", most, 0)
        assert meter[f"max_act_row_{channel}"] == 7
        commands = [line.split(", ")[1] for line in (tmp_path / "out" / f"commands.ch{channel}").read_text().splitlines()]
        assert commands.count("MACAB") == macs == controllers[channel]["num_MACAB_commands"]
        assert commands.count("ACTAB") == controllers[channel]["num_ACTAB_commands"] == (3 if channel == 0 else 1)
        counted = dict(line.split(", ") for line in (tmp_path / "out" / f"counts.ch{channel}").read_text().splitlines())
        assert counted["MACAB"] == str(macs) and counted["WR"] == "0"
    # Nothing else changes.
    assert controllers == yaml.safe_load(plain.stdout)["MemorySystem"]["Controller"]


def test_plugins_of_the_simulators_and_unknown_ones(run):
    refused(run(config=with_plugins().replace("impl: TraceRecorder", "impl: TraceRecoder")), "'TraceRecoder' is unknown; did you mean 'TraceRecorder'")
    refused(run(config=with_plugins().replace("[MACAB, WR]", "[MACAL]")), "command 'MACAL' does not exist in HBM3; did you mean 'MACAB'")


def test_a_run_can_be_bounded(run):
    """What a run needs is enough, one cycle less is not."""
    cycles = int(re.search(r"memory_system_cycles: (\d+)", run().stdout)[1])
    assert cycles > 300
    assert run("--max-cycles", str(cycles)).stdout == run().stdout
    refused(run("--max-cycles", str(cycles - 1)), rf"not finished within {cycles - 1} cycles")
    # 33 requests fit the queue; the eight of line 4 enter as the multiplications leave it, from cycle 89 on every fourth.
    refused(run("--max-cycles", "100"), r"program.txt:4: not finished within 100 cycles")
    attacc = (
        CONFIG.replace("AiMTrace", "PIMLoadStoreTrace").replace("AiMDRAM", "PIMDRAM").replace("impl: AiM", "impl: HBM3-PIM").replace("FRFCFS", "PIM")
        .replace("RoBaRaCoCh", "HBM3-PIM").replace("HBM3@sieve", "HBM3-PIM").replace("HBM3E_dual", "HBM3_8Gb_2R").replace("HBM3E_8000Mbps", "HBM3_5.2Gbps")
    )  # fmt: skip
    # By hand: ACTAB in cycle 1, MACAB in 20, 26, 32 and 38; then nothing waits.
    trace = "".join(f"PIM_MAC_AB {column << 5:#x}\n" for column in range(4))
    assert "memory_system_cycles: 38\n" in run("--max-cycles", "38", config=attacc, program=trace).stdout
    refused(run("--max-cycles", "37", config=attacc, program=trace), r"program.txt: not finished within 37 cycles")


def test_a_policy_without_host_requests_and_host_requests_beyond_the_memory_are_said(run):
    shared = CONFIG.replace("    impl: AiM\n", "    impl: AiM\n    Sharing: {impl: UnitsFirst}\n")
    alone = run(config=shared)
    assert alone.returncode == 0
    assert "Controller.Sharing: no ordinary requests stand beside the program (Frontend.Host)" in alone.stderr
    hosted = shared.replace("clock_ratio: 1}\n", "clock_ratio: 1, Host: {impl: LoadStoreTrace, path: host.txt}}\n", 1)
    # 2 channels of 2 x 24 banks of 8192 rows of 1 KB; the mapper uses powers of two: 2 x 2 x 4 x 4.
    end = 2 * 2 * 4 * 4 * 8192 * 1024
    done = run(config=hosted, host=f"LD {end - 32}\nST {end - 64}\n")
    assert done.returncode == 0 and "beside the program" not in done.stderr
    refused(run(config=hosted, host=f"LD 0\nST {end}\n"), rf"host.txt:2: address {end} lies beyond the memory, which ends at {end}")


def test_keys_of_a_unit_are_checked(run, tmp_path):
    (tmp_path / "base.yaml").write_text("extends: HBM3@sieve\nedition: mine\nunit:\n  lanes: 384\n")
    config = CONFIG.replace("HBM3@sieve", "over.yaml")
    for section, message in (
        ("lanes: 0", r"over.yaml:3: unit.lanes: 0 lies outside 1 to"),
        ("buffers: {vector: -5}", r"over.yaml:3: unit.buffers.vector: -5 lies outside 1 to"),
        ("buffers: {vector: 16}", r"16 bytes do not hold one access of 32"),
        ("bufers: {vector: 64}", r"over.yaml:3: unit.bufers: key 'bufers' is unknown in a unit; did you mean 'buffers'"),
        ("accumulator_bytes: 3", r"2 or 4 is expected"),
        ("operations: {PIM MAK: {does: nothing}}", r"instruction 'PIM MAK' is unknown; did you mean 'PIM MAC'"),
        ("operations: {PIM MAC: {does: multiplly}}", r"unit.operations.PIM MAC.does: word 'multiplly' is unknown; did you mean 'multiply'"),
        ("operations: {PIM MAC: {unit: [banc]}}", r"level 'banc' is unknown; did you mean 'bank'"),
        ("operations: {PIM MAC: {bufer: vector}}", r"key 'bufer' is unknown in a unit; did you mean 'buffer'"),
    ):
        (tmp_path / "over.yaml").write_text(f"extends: base.yaml\nedition: mine\nunit: {{{section}}}\n")
        refused(run(config=config), message)


def test_messages_name_the_file_that_a_value_stands_in(run, tmp_path):
    """A mistake in a file that others extend is said with that file and its line."""
    base = tmp_path / "base.yaml"
    (tmp_path / "over.yaml").write_text("extends: middle.yaml\ncontroller: {row_hits: [RD]}\n")
    (tmp_path / "middle.yaml").write_text("extends: base.yaml\ntiming:\n  derived: []\n\nunit: {lanes: 384}\n")
    config = CONFIG.replace("HBM3@sieve", "over.yaml")
    for text, message in (
        ("controller: {replies: [reed]}", r"base.yaml:3: controller.replies\[0\]: request 'reed' is unknown"),
        ("controller: {latency: {MACAB: '-1'}}", r"base.yaml:3: controller.latency.MACAB: '-1' must come to 0 to 1000000 cycles"),
        ("instructions: {queue: 0}", r"base.yaml:3: instructions.queue: 0 lies outside"),
        ("timing: {constraints: [[bnak, [RD], [RD], 2]]}", r"base.yaml:3: timing.constraints\[\d+\].*'bnak' is unknown"),
    ):
        base.write_text(f"extends: HBM3@sieve\nedition: mine\n{text}\n")
        refused(run(config=config), message)
    base.write_text("extends: HBM3@sieve\nedition: mine\n")
    (tmp_path / "middle.yaml").write_text("extends: base.yaml\n\nunit: {lanes: 384, accesses: 1}\n")
    refused(run(config=config), r"middle.yaml:3: unit.accesses: key 'accesses' is unknown")
    assert "HBM3@sieve.yaml" not in run(config=config).stderr
