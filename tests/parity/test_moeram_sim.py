"""Does moeram-sim refuse what is wrong with one message, exit code 2 and nothing on standard output?"""

from __future__ import annotations

import re
import subprocess

import pytest
import yaml

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
    refused(run("-f", "config.yaml", "-p", "=b"), "KEY=VALUE is expected")
    refused(run("-f", "config.yaml", "--max-cycles", "x"), "a number of cycles is expected")
    refused(
        run("-f", "config.yaml", "-p", "MemorySystem.DRAM.org.rank=x"),
        "moeram-sim: -p MemorySystem.DRAM.org.rank=x: MemorySystem.DRAM.org.rank: 'x' is not a whole number",
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


@pytest.mark.parametrize("override", ["nothing", "a=", "a=b=c"])
def test_overrides_that_ramulator_skips(run, override):
    """Ramulator 2.0 warns and goes on; --strict refuses."""
    done = run("-f", "config.yaml", "-p", override)
    assert done.returncode == 0 and done.stdout == run().stdout
    assert f"warning: -p {override}: KEY=VALUE is expected; ignored, as Ramulator 2.0 does" in done.stderr
    refused(run("-f", "config.yaml", "--strict", "-p", override), f"-p {override}: KEY=VALUE is expected")


def test_overrides_of_a_text_are_ignored(run):
    """As in Ramulator 2.0, which takes -p with -f only."""
    done = run("-c", CONFIG, "-p", "MemorySystem.DRAM.timing.nRCD=30")
    assert done.returncode == 0 and done.stdout == run().stdout
    assert "overrides go with -f only; ignored" in done.stderr
    refused(run("-c", CONFIG, "--strict", "-p", "MemorySystem.DRAM.timing.nRCD=30"), "overrides go with -f only")


def test_the_last_of_equal_overrides_wins_and_lists_grow(run, tmp_path):
    """Also `[n]` with n = size, which appends."""
    key = "MemorySystem.DRAM.timing.nRCD"
    trace = "".join(f"LD {row * 64 * 4096}\n" for row in range(60))
    once = run("-f", "config.yaml", "-p", f"{key}=30", trace=trace)
    twice = run("-f", "config.yaml", "-p", f"{key}=99", "-p", f"{key}=30", trace=trace)
    assert twice.stdout == once.stdout != run(trace=trace).stdout
    plugin = "MemorySystem.Controller.plugins[1].ControllerPlugin"
    done = run("-f", "config.yaml", "-p", f"{plugin}.impl=TraceRecorder", "-p", f"{plugin}.path=out/second")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "second.ch0").read_text() == (tmp_path / "out" / "cmd.ch0").read_text()
    refused(run("-f", "config.yaml", "-p", "MemorySystem.Controller.plugins[7].x=1"), "needs an index from 0 to 1")


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("MemorySystem.DRAM.timing.preset=DDR4_240R", ["'DDR4_240R'", "did you mean 'DDR4_2400R'"]),
        ("MemorySystem.DRAM.impl=DDR44", ["'DDR44' is unknown"]),
        ("Frontend.impl=SimpleO3", ["key 'traces' is missing"]),
        ("Frontend.pahts=1", ["key 'pahts' means nothing here", "did you mean 'path'"]),
        ("MemorySystem.Controller.wr_low_watermark=7", ["between 0 and 1"]),
        ("Frontend.clock_ratio=0", ["between 1 and 1000000"]),
    ],
)
def test_a_wrong_override_is_named_itself(run, override, parts):
    """Not only a line of the file, which holds something else there."""
    refused(run("-f", "config.yaml", "-p", override), f"-p {override}", *parts)


def test_includes(run, tmp_path):
    """Relative to the working directory at the top, to the file's own folder below; complaints name the included file."""
    (tmp_path / "parts" / "deep").mkdir(parents=True)
    dram = "impl: DDR4\norg: !include ./deep/org.yaml\ntiming: {preset: DDR4_2400R}\n"
    (tmp_path / "parts" / "dram.yaml").write_text(dram)
    (tmp_path / "parts" / "deep" / "org.yaml").write_text("{preset: DDR4_8Gb_x8, channel: 1,\n rank: 1}\n")
    begin, end = CONFIG.index("  DRAM:\n"), CONFIG.index("  AddrMapper")
    config = CONFIG[:begin] + "  DRAM: !include ./parts/dram.yaml\n" + CONFIG[end:]
    assert run(config=config).stdout == run().stdout
    (tmp_path / "parts" / "deep" / "org.yaml").write_text("{preset: DDR4_8Gb_x8, channel: 1,\n rank: one}\n")
    refused(run(config=config), "parts/deep/org.yaml:2: MemorySystem.DRAM.org.rank: 'one' is not a whole number")
    (tmp_path / "parts" / "deep" / "org.yaml").write_text("{preset: [\n")
    refused(run(config=config), "parts/deep/org.yaml:")
    (tmp_path / "parts" / "deep" / "org.yaml").write_text("{preset: !include ./org.yaml}\n")
    refused(run(config=config), "include each other without end")
    (tmp_path / "parts" / "deep" / "org.yaml").unlink()
    refused(run(config=config), "parts/dram.yaml:2: !include: parts/deep/org.yaml: no such file")
    refused(run("-c", config), "-c:8: !include works in files only")


def test_merge_keys_are_refused(run):
    """Ramulator 2.0 reads past them: the values beside would be missing."""
    config = CONFIG.replace("    timing: {preset: DDR4_2400R}\n", "    timing: {<<: {preset: DDR4_2400R}}\n")
    refused(run(config=config), "config.yaml:11: merge keys '<<' are not applied")


def test_ids_are_printed(run):
    """Of any component, `_default_id` excepted; controllers go by their channel."""
    config = CONFIG.replace("{impl: FRFCFS}", "{impl: FRFCFS, id: 'my scheduler'}").replace(
        "  impl: GenericDRAM\n", "  impl: GenericDRAM\n  id: _default_id\n"
    )
    config = config.replace("    impl: Generic\n", "    impl: Generic\n    id: ignored\n")
    config = config.replace("{impl: TraceRecorder,", "{impl: TraceRecorder, id: t1,")
    done = run("-f", "config.yaml", "--strict", config=config)
    assert done.returncode == 0, done.stderr
    assert "      impl: FRFCFS\n      id: my scheduler\n" in done.stdout
    assert "      impl: TraceRecorder\n      id: t1\n" in done.stdout
    assert done.stdout.count("id: ") == 3 and "id: Channel 0\n" in done.stdout


def test_statistics_with_lists(run):
    """Any YAML reader sees every channel; without --lists the keys repeat, as in Ramulator 2.0."""
    config = CONFIG.replace("channel: 1", "channel: 2")
    plain, listed = run(config=config), run("-f", "config.yaml", "--lists", config=config)
    assert plain.stdout.count("  Controller:\n") == 2
    tree = yaml.safe_load(listed.stdout)
    assert [one["id"] for one in tree["MemorySystem"]["Controller"]] == ["Channel 0", "Channel 1"]
    assert tree["MemorySystem"]["Controller"][1]["ControllerPlugin"] == [{"impl": "TraceRecorder"}]
    assert tree["Frontend"] == {"impl": "LoadStoreTrace"}


def test_the_folded_share_is_said_beside_the_statistics(run):
    plain = CONFIG.split("    plugins:")[0].replace("AllBank", "None")
    trace = "".join(f"LD {i * 64}\n" for i in range(20000))
    folded = run("-f", "config.yaml", "--folded-share", config=plain, trace=trace)
    simulated = run("-f", "config.yaml", "--folded-share", "-p", "Frontend.fold=false", config=plain, trace=trace)
    assert float(re.search(r"^folded_share: (\S+)$", folded.stderr, re.MULTILINE)[1]) > 0.5
    assert simulated.stderr == "folded_share: 0\n"
    assert folded.stdout == simulated.stdout == run(config=plain, trace=trace).stdout
    watched = run("-f", "config.yaml", "--folded-share", trace=trace)
    assert watched.stderr == "folded_share: 0\n"  # a plug-in sees every command


def test_a_run_can_be_bounded(run):
    """No hang where a configuration makes no progress in sensible time."""
    done = run("-f", "config.yaml", "--max-cycles", "2", trace="LD 0\n" * 50)
    refused(done, "not finished within 2 cycles")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("timing.nRCD=2147483648", "nRCD is 2147483648, must be below 2^31"),
        ("timing.nRCD=4294967312", "must be below 2^31"),
        ("timing.nRCD=2147483647", "'nRCD' comes to more than 2^30 cycles"),
        ("org.row=1000000000000", "'row' is 1000000000000, must be at most 2^30"),
    ],
)
def test_a_number_that_no_table_holds_is_refused(run, override, message):
    """No wrapping around to a small or a negative latency."""
    refused(run("-f", "config.yaml", "-p", f"MemorySystem.DRAM.{override}"), message)


@pytest.mark.parametrize("skip", [[], ["--no-skip"]])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_memory_that_never_answers_is_left(run, skip, channels):
    """LPDDR5 of Ramulator 2.0 opens the row, then looks for row 0 for ever: one message, in the same cycle either way."""
    config = CONFIG.replace("DDR4_8Gb_x8", "LPDDR5_8Gb_x16").replace("DDR4_2400R", "LPDDR5_6400").replace("DDR4", "LPDDR5")
    config = config.replace("AllBank", '"None"').replace("channel: 1", f"channel: {channels}")
    trace = "".join(f"LD {(1 << 25) + 64 * i}\n" for i in range(99))
    done = run("-f", "config.yaml", *skip, config=config, trace=trace)
    refused(done, "waits for a memory in which nothing will happen", "row 0 only")
    assert done.stderr == run("-f", "config.yaml", config=config, trace=trace).stderr


def test_mappers_with_row_indirection(run):
    """Without a plug-in that fills their table they map like the plain ones."""
    done = run(config=CONFIG.replace("RoBaRaCoCh", "RoBaRaCoCh_with_rit"))
    assert done.stdout == run().stdout.replace("impl: RoBaRaCoCh", "impl: RoBaRaCoCh_with_rit")


def test_the_front_end_of_hosts_ends_at_once(run):
    """As in Ramulator 2.0's own program."""
    begin = CONFIG.index("MemorySystem:")
    done = run(config="Frontend: {impl: GEM5}\n" + CONFIG[begin:])
    assert done.returncode == 0 and "memory_system_cycles: 0\n" in done.stdout
    assert "ends at once" in done.stderr


def test_a_bare_name_is_a_path(run, tmp_path):
    """Ramulator 2.0 aborts where an output path has no folder."""
    done = run(config=CONFIG.replace("path: out/cmd", "path: cmd"))
    assert done.returncode == 0 and (tmp_path / "cmd.ch0").read_text().startswith("1, ACT")


CORES = """\
Frontend:
  impl: BHO3
  clock_ratio: 4
  num_expected_insts: 2000
  llc_capacity_per_core: 4KB
  traces: [x.trace]
  Translation: {impl: NoTranslation, max_addr: 1}
"""
CORE_TRACE = "".join(f"{i % 5} {i * 7919 % 512 * 64}\n" for i in range(200))


def bho3(config: str = CONFIG) -> str:
    """The configuration with BHO3 on BHDRAMSystem."""
    memory = config[config.index("MemorySystem:") :].replace("GenericDRAM", "BHDRAMSystem").replace("Generic", "BHDRAMController")
    return CORES + memory.replace("  Controller:", "  BHDRAMController:").replace("Scheduler: {impl: FRFCFS}", "BHScheduler: {impl: BHScheduler}")


def test_bhdram_with_two_channels(run):
    """Ramulator 2.0 aborts at the second; here each counts its own commands."""
    done = run(config=bho3().replace("channel: 1", "channel: 2"), trace=CORE_TRACE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("    impl: BHDRAMController\n") == 2 and done.stdout.count("BHScheduler:\n") == 2
    misses = [int(line.split()[-1]) for line in done.stdout.splitlines() if "controller_num_row_misses" in line]
    assert len(misses) == 2 and min(misses) > 0
    assert "queue_len" not in done.stdout


def test_a_core_trace_in_hexadecimal_is_refused(run):
    """Ramulator 2.0 reads 0x40 as 0."""
    refused(run(config=bho3(), trace="1 0x40\n"), "x.trace:1")


@pytest.mark.parametrize("plugin", ["RRS", "BlockHammer", "PRAC"])
def test_what_is_not_covered_is_refused(run, plugin):
    """RowHammer defences: an error that names the place and lists what there is, no run without them."""
    refused(run(config=CONFIG.replace("impl: TraceRecorder, path: out/cmd", f"impl: {plugin}")), "config.yaml:19", plugin, "CommandCounter")
    refused(run(config=CONFIG.replace("FRFCFS", "BLISS")), "Scheduler", "BLISS", "FRFCFS")


def test_a_translation_wants_its_limit(run):
    """NoTranslation: max_addr has to be there and limits nothing, as in Ramulator 2.0."""
    config = bho3()
    assert "max_addr: 1" in config
    refused(run(config=re.sub(r",? *max_addr: *\d+", "", config), trace=CORE_TRACE), "max_addr")
    small = run(config=re.sub(r"max_addr: *\d+", "max_addr: 0", config), trace=CORE_TRACE)
    assert small.returncode == 0 and small.stdout == run(config=config, trace=CORE_TRACE).stdout


def test_the_latency_dump_of_bho3_is_ignored(run):
    """Ramulator 2.0 never writes the file."""
    config = bho3().replace("  num_exp", "  lat_dump_path: out/latency\n  num_exp")
    done = run(config=config, trace=CORE_TRACE)
    assert done.returncode == 0 and "key 'lat_dump_path' is ignored here" in done.stderr
    refused(run("-f", "config.yaml", "--strict", config=config, trace=CORE_TRACE), "'lat_dump_path' means nothing here")


def test_a_closed_row_policy_needs_its_levels(run):
    """Ramulator 2.0 aborts with the text of a map."""
    config = CONFIG.replace("OpenRowPolicy", "ClosedRowPolicy").replace("impl: DDR4\n", "impl: DDR3\n")
    config = config.replace("DDR4_8Gb_x8", "DDR3_8Gb_x8").replace("DDR4_2400R", "DDR3_1600K")
    refused(run(config=config), "config.yaml:14", "ClosedRowPolicy needs the levels rank and bankgroup")


def test_every_oddity_is_listed(repository):
    """All 56, and each test that the list names exists."""
    text = (repository / "docs" / "compatibility.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| Q")]
    assert [row[0] for row in rows] == [f"Q{number}" for number in range(1, 57)]
    tests = "".join(path.read_text() for path in sorted((repository / "tests").rglob("test_*.[cp][py]*")))
    for number, _, _, decided, shown in rows:
        assert decided and shown, number
        assert shown in tests or shown in ("rwtrace_upstream_single", "ddr5_mix_2ra"), (number, shown)


def test_the_oddities_have_the_classes_of_the_specification(repository, shared):
    """M, O and D of the specification's own list."""
    ours = re.findall(r"^\| (Q\d+) \| ([MOD]) \|", (repository / "docs" / "compatibility.md").read_text(), re.MULTILINE)
    theirs = re.findall(r"^\| (Q\d+) \| ([MOD]) \|", (shared / "spec" / "ramulator2_core.md").read_text(), re.MULTILINE)
    assert ours == theirs and len(ours) == 56
