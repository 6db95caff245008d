"""Configurations made by hypothesis: moeram-sim never crashes, hangs or gives a silent zero, and skipping changes nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from subjects import NAMES, data_of

import moeram
from moeram import check

REFUSED = 2


def program() -> str:
    places = [Path(moeram.__file__).resolve().parent.parent / "bin", Path(sys.prefix) / "bin"]
    found = next((str(place / "moeram-sim") for place in places if (place / "moeram-sim").is_file()), None)
    return found or shutil.which("moeram-sim") or pytest.skip("moeram-sim is not installed")


@st.composite
def configurations(draw):
    """(configuration, trace text, lines): any standard, presets, sizes, mapper, policies, watermarks, ratios and accesses."""
    name = draw(st.sampled_from(NAMES))
    data = data_of(name)

    def pick(*values):
        return draw(st.sampled_from(values))

    organization = {"preset": pick(*data["organization"]["presets"])}
    if "channel" not in data["organization"].get("density_factors", []):
        organization["channel"] = pick(1, 1, 2, 4)
    if "rank" in data["levels"]:
        organization["rank"] = pick(1, 2, 4)
    timing = {"preset": pick(*data["timing"]["presets"])}
    if "nREFI" in data["timing"]["parameters"] and draw(st.booleans()):
        timing["nREFI"] = draw(st.integers(3000, 20000))
    groups = {entry["group"]: {} for entry in data.get("settings", {}).values() if "group" in entry}
    low = draw(st.floats(0.05, 0.5))
    policy = draw(
        st.sampled_from([{"impl": "OpenRowPolicy"}, {"impl": "OpenRowPolicy"}, {"impl": "ClosedRowPolicy", "cap": 2}])
    )
    refresh = pick("AllBank", "AllBank", "None") if "refresh" in data["behaviour"] else "None"
    controller = {
        "impl": "Generic", "wr_low_watermark": low, "wr_high_watermark": draw(st.floats(low, 1.0)),
        "Scheduler": {"impl": "FRFCFS"}, "RefreshManager": {"impl": refresh}, "RowPolicy": policy,
        "plugins": [{"ControllerPlugin": {"impl": "TraceRecorder", "path": "cmd"}}],
    }  # fmt: skip
    config = {
        "Frontend": {"impl": "LoadStoreTrace", "path": "x.trace", "clock_ratio": draw(st.integers(1, 8))},
        "MemorySystem": {
            "impl": "GenericDRAM", "clock_ratio": draw(st.integers(1, 40)),
            "DRAM": {"impl": name, "org": organization, "timing": timing, **groups},
            "AddrMapper": {"impl": pick("RoBaRaCoCh", "ChRaBaRoCo", "MOP4CLXOR")}, "Controller": controller,
        },
    }  # fmt: skip
    # 2.0's fault: rows other than 0 are never served there, and a run ends with a message instead of an end.
    only_row_zero = data["behaviour"].get("two_step_opening", {}).get("looks_for_row_zero")
    if only_row_zero:
        config["MemorySystem"]["AddrMapper"]["impl"] = "RoBaRaCoCh"
    span = 16 if only_row_zero else draw(st.sampled_from([8, 16, 24, 34]))
    start, step = draw(st.integers(0, 1 << span)), draw(st.sampled_from([0, 16, 64, 4096, 1 << 18]))
    seed, writes = draw(st.integers(0, 1 << 30)), draw(st.integers(0, 10))
    lines = []
    for index in range(draw(st.integers(1, 400))):
        seed = (seed * 1103515245 + 12345) % (1 << 31)
        address = (start + index * step if seed % 3 else seed << 4) % (1 << span)
        lines.append(f"{'ST' if seed // 7 % 10 < writes else 'LD'} {address}\n")
    return config, "".join(lines), len(lines)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [program(), "-f", "config.yaml", *arguments],
        check=False,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


def examples(count: int):
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


def check_one(folder: Path, configuration) -> None:
    config, trace, requests = configuration
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "x.trace").write_text(trace)
    for old in folder.glob("cmd.ch*"):
        old.unlink()
    done = run(folder)
    assert done.returncode in (0, REFUSED), (done.returncode, done.stderr)
    if done.returncode == REFUSED:
        errors = [line for line in done.stderr.splitlines() if "warning: " not in line]
        assert len(errors) == 1 and errors[0].startswith("moeram-sim: ") and done.stdout == "", done.stderr
        return
    written = {path.name: path.read_text() for path in folder.glob("cmd.ch*")}
    statistics = yaml.load(done.stdout, Loader=yaml.BaseLoader)["MemorySystem"]
    assert int(statistics["total_num_read_requests"]) + int(statistics["total_num_write_requests"]) == requests
    assert requests == 1 or int(statistics["memory_system_cycles"]) > 0
    busy = int(statistics["memory_system_cycles"]) > 100
    assert not busy or any(written.values()), "a long run without a command"
    book = check.rulebook_of_config(folder / "config.yaml")
    for name, text in written.items():
        if text:
            report = check.check_commands(folder / name, book)
            assert report.first is None, report.describe_first()
    slow = run(folder, "--no-skip")
    assert (slow.stdout, slow.stderr) == (done.stdout, done.stderr)
    assert {path.name: path.read_text() for path in folder.glob("cmd.ch*")} == written


@given(configurations())
@examples(120)
def test_any_configuration(tmp_path, configuration):
    check_one(tmp_path, configuration)


@pytest.mark.slow
@given(configurations())
@examples(1500)
def test_many_configurations(tmp_path, configuration):
    check_one(tmp_path, configuration)
