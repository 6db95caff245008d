"""Does moeram-sim refuse what is wrong with one message, exit code 2 and nothing on standard output?"""

from __future__ import annotations

import subprocess

import pytest

CONFIG = """\
Frontend:
  impl: LoadStoreTrace
  path: x.trace
  clock_ratio: 1
MemorySystem:
  impl: GenericDRAM
  clock_ratio: 1
  DRAM:
    impl: DDR4
    org: {preset: DDR4_8Gb_x8, channel: 1, rank: 1}
    timing: {preset: DDR4_2400R}
  AddrMapper: {impl: RoBaRaCoCh}
  Controller:
    impl: Generic
    Scheduler: {impl: FRFCFS}
    RefreshManager: {impl: AllBank}
    RowPolicy: {impl: OpenRowPolicy}
    plugins:
    - ControllerPlugin: {impl: TraceRecorder, path: out/cmd}
"""
TRACE = "LD 0\nST 64\nLD 0x40\n"


@pytest.fixture
def run(moeram_sim, tmp_path):
    """Runs moeram-sim on a config and a trace in a scratch folder."""

    def run(*arguments: str, config: str | bytes = CONFIG, trace: str = TRACE) -> subprocess.CompletedProcess:
        (tmp_path / "config.yaml").write_bytes(config if isinstance(config, bytes) else config.encode())
        (tmp_path / "x.trace").write_text(trace)
        words = arguments or ("-f", "config.yaml")
        return subprocess.run(
            [str(moeram_sim), *words],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
        )

    return run


def refused(done: subprocess.CompletedProcess, *parts: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    for part in parts:
        assert part in done.stderr, done.stderr
    assert "terminate" not in done.stderr


def test_a_correct_run_prints_statistics(run, tmp_path):
    """The same keys as Ramulator 2.0: three requests, one of them forwarded or not, and a trace of the commands."""
    done = run()
    assert done.returncode == 0 and done.stderr == ""
    assert "total_num_read_requests: 2" in done.stdout and "total_num_write_requests: 1" in done.stdout
    assert (tmp_path / "out" / "cmd.ch0").read_text().startswith("1, ACT, 0, 0, 0, 0, 0, 0\n")


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("impl: DDR4", "impl: DDR44", ["config.yaml:", "MemorySystem.DRAM", "'DDR44' is unknown"]),
        ("DDR4_2400R", "DDR4_240R", ["config.yaml:", "did you mean 'DDR4_2400R'"]),
        ("DDR4_8Gb_x8", "DDR4_8Gb_8", ["config.yaml:", "organization preset", "did you mean"]),
        ("rank: 1", "rank: one", ["config.yaml:10", "MemorySystem.DRAM.org.rank", "'one' is not a whole number"]),
        ("rank: 1", "ranks: 1", ["config.yaml:10", "ranks", "did you mean 'rank'"]),
        ("clock_ratio: 1\nMemory", "clock_ratio: 0\nMemory", ["config.yaml:4", "clock_ratio", "between 1 and 1000000"]),
        ("impl: LoadStoreTrace", "impl: LoadStoreTrase", ["config.yaml:2", "did you mean 'LoadStoreTrace'"]),
        ("  path: x.trace\n", "", ["Frontend", "key 'path' is missing"]),
        ("path: x.trace", "path: y.trace", ["y.trace: no such trace file"]),
        ("impl: FRFCFS", "impl: FRFCSF", ["config.yaml:15", "did you mean 'FRFCFS'"]),
        ("{impl: OpenRowPolicy}", "OpenRowPolicy", ["config.yaml:17", "a map with 'impl' is expected"]),
        ("RoBaRaCoCh", "RoBaRaChCo", ["config.yaml:12", "did you mean 'RoBaRaCoCh'"]),
        (
            "    impl: Generic\n",
            "    impl: Generic\n    wr_low_watermark: 1.5\n",
            ["config.yaml:15", "between 0 and 1"],
        ),
        ("rank: 1}", "rank: 1, rank: 2}", ["config.yaml:10", "key 'rank' stands twice"]),
        ("rank: 1}", "rank: 1", ["config.yaml:"]),
        (
            "impl: TraceRecorder, path: out/cmd",
            "impl: CommandCounter, path: out/n, commands_to_count: [ACTT]",
            ["'ACTT'"],
        ),
        ("impl: TraceRecorder", "impl: TraceRecoder", ["config.yaml:19", "did you mean 'TraceRecorder'"]),
        (
            "timing: {preset: DDR4_2400R}",
            "timing: {preset: DDR4_2400R, nRCDX: 3}",
            ["config.yaml:11", "nRCDX", "did you mean 'nRCD'"],
        ),
    ],
)
def test_a_wrong_configuration_names_file_line_and_key(run, old, new, parts):
    assert CONFIG.count(old) == 1
    refused(run(config=CONFIG.replace(old, new)), *parts)


@pytest.mark.parametrize(
    ("trace", "parts"),
    [
        ("LD 0\nLD  64\n", ["x.trace:2", "bad address", "LD  64"]),
        ("LD 0\nRD 64\n", ["x.trace:2", "no LD or ST"]),
        ("LD 0\n\nLD 1\n", ["x.trace:2"]),
        ("LD 12 34\n", ["x.trace:1", "bad address"]),
        ("LD -64\n", ["x.trace:1"]),
        ("LD 0x\n", ["x.trace:1"]),
        ("LD 99999999999999999999\n", ["x.trace:1"]),
        ("", ["x.trace", "empty"]),
    ],
)
def test_a_wrong_trace_names_file_and_line(run, trace, parts):
    refused(run(trace=trace), *parts)


def test_wrong_arguments(run):
    refused(run("-f", "nowhere.yaml"), "nowhere.yaml: no such file")
    refused(run("--fast"), "unknown argument '--fast'", "usage")
    refused(run("-f"), "-f needs a value")
    refused(run("-p", "a=b"), "one of -f and -c is needed")
    refused(run("-f", "config.yaml", "-p", "nothing"), "KEY=VALUE is expected")
    refused(
        run("-f", "config.yaml", "-p", "MemorySystem.DRAM.org.rank=x"),
        "MemorySystem.DRAM.org.rank",
        "'x' is not a whole number",
    )
    refused(run(config=b"\x00\xff\xfe"), "config.yaml")


def test_ignored_keys_warn_or_are_errors_with_strict(run):
    """`Translation` under a trace front end: Ramulator 2.0 takes it without a word."""
    config = CONFIG.replace("  path: x.trace\n", "  path: x.trace\n  Translation: {impl: NoTranslation, max_addr: 1}\n")
    done = run(config=config)
    assert done.returncode == 0 and done.stdout == run().stdout
    assert "warning: config.yaml:4: Frontend.Translation: key 'Translation' is ignored here" in done.stderr
    refused(run("-f", "config.yaml", "--strict", config=config), "config.yaml:4", "'Translation' means nothing here")


def test_nothing_half_written(run, tmp_path):
    """A complaint about the trace comes after the configuration is read; no statistics and no command trace with content."""
    refused(run(trace="LD 0\nXX 1\n"), "x.trace:2")
    left = tmp_path / "out" / "cmd.ch0"
    assert not left.exists() or left.read_text() == ""
