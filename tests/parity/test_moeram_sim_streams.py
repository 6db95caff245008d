"""Streams of moeram-sim: the same figures as the Python interface, folded or not, and one message for what is wrong."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from moeram.hardware import Stream, StreamMemory, StreamOptions, run_streams

READS = 200_000
CONFIG = {
    "Frontend": {
        "impl": "Stream",
        "streams": [
            {"extent_bytes": READS * 32},
            {"kind": "write", "base_bytes": 1 << 28, "extent_bytes": 6400, "stride_bytes": 64, "group": 1},
            {"base_bytes": 1 << 29, "extent_bytes": 6400, "group": 1},
        ],
    },
    "MemorySystem": {
        "impl": "GenericDRAM",
        "stacks": 3,
        "interleave": "bankgroup",
        "DRAM": {
            "impl": "HBM3@2.1",
            "org": {"preset": "HBM3_16Gb_8hi", "channel": 4},
            "timing": {"preset": "HBM3_6400Mbps"},
        },
        "AddrMapper": {"impl": "RoBaRaCoCh"},
        "Controller": {
            "impl": "Generic",
            "Scheduler": {"impl": "FRFCFS"},
            "RefreshManager": {"impl": "AllBank"},
            "RowPolicy": {"impl": "OpenRowPolicy"},
        },
    },
}


@pytest.fixture
def play(moeram_sim, tmp_path):
    """Runs moeram-sim on CONFIG with some values changed by -p."""

    def play(*overrides: str, config: object = CONFIG) -> subprocess.CompletedProcess:
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
        words = [word for override in overrides for word in (("-p", override) if "=" in override else (override,))]
        command = [str(moeram_sim), "-f", "config.yaml", *words]
        return subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=120)

    return play


def statistics(done: subprocess.CompletedProcess) -> dict:
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)["MemorySystem"]


def test_streams_equal_those_of_the_python_interface(play):
    found = statistics(play())
    memory = StreamMemory(
        standard="HBM3@2.1", organization="HBM3_16Gb_8hi", timing="HBM3_6400Mbps", sizes={"channel": 4}, stacks=3,
        interleave="bankgroup",
    )  # fmt: skip
    streams = [
        Stream(base_bytes=0, extent_bytes=READS * 32),
        Stream(base_bytes=1 << 28, extent_bytes=6400, stride_bytes=64, kind="write", group=1),
        Stream(base_bytes=1 << 29, extent_bytes=6400, group=1),
    ]
    times = run_streams(streams, memory, StreamOptions(threads=1))
    assert found["memory_system_cycles"] == times.cycles
    assert (found["total_num_read_requests"], found["total_num_write_requests"]) == (READS + 200, 100)
    assert found["gb_per_s"] == pytest.approx(times.gb_per_s)
    assert found["folded_share"] == pytest.approx(times.folded_share)
    assert found["folded_share"] > 0.3


def test_folding_skipping_threads_and_equal_channels_change_nothing(play):
    def without_shares(text: str) -> list[str]:
        return [line for line in text.splitlines() if "folded_share" not in line and "simulated_requests" not in line]

    folded = play()
    statistics(folded)
    for words in (
        ["Frontend.fold=false"],
        ["--no-skip", "Frontend.streams[0].extent_bytes=64000"],
        ["Frontend.threads=2"],
    ):
        plain = folded if len(words) == 1 else play(words[1])
        assert without_shares(play(*words).stdout) == without_shares(plain.stdout)
    apart = statistics(play("Frontend.reuse_identical_channels=false"))
    assert apart["memory_system_cycles"] == statistics(folded)["memory_system_cycles"]
    assert statistics(play("Frontend.fold=false"))["folded_share"] == 0


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("Frontend.streams[0].extent_bytes=0", ["extent_bytes", "between 1 and 2^61"]),
        ("Frontend.streams[0].kind=reed", ["kind", "'read' or 'write' is expected"]),
        ("Frontend.streams[0].stride=64", ["stride", "means nothing here", "stride_bytes"]),
        ("Frontend.streams[1].stride_bytes=33", ["config.yaml", "Frontend.streams"]),
        ("Frontend.streams[0].base_bytes=1152921504606846976", ["stream 0", "do not fit"]),
        ("MemorySystem.stacks=0", ["stacks", "must be at least 1"]),
        ("MemorySystem.interleave=bank_group", ["bank_group"]),
        ("MemorySystem.AddrMapper.impl=MOP4CLXOR", ["AddrMapper", "RoBaRaCoCh"]),
        ("Frontend.threads=0", ["threads", "must be at least 1"]),
        ("MemorySystem.Controller.plugin=1", ["plugin", "means nothing here"]),
    ],
)
def test_what_is_wrong_is_one_message(play, override, parts):
    done = play(override)
    assert done.returncode == 2, done.stdout
    assert done.stdout == ""
    for part in parts:
        assert part in done.stderr, done.stderr


def test_without_streams_nothing_runs(play):
    done = play(config={**CONFIG, "Frontend": {"impl": "Stream", "streams": []}})
    assert done.returncode == 2
    assert "at least one stream is needed" in done.stderr
