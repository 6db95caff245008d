"""Do traces and programs come out in the other simulator's syntax, and come back the same?"""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from moeram import experiment, export
from moeram.cli.main import app
from moeram.errors import ConfigError, TraceError
from moeram.export.pim import AIM_INSTRUCTIONS, ATTACC_OPERATIONS
from moeram.export.requests import Requests, RequestStream

LOAD_STORE = "LD 0x0\nST 64\nLD 0X1f40\nLD 123456789012\n"
ATTACC = "PIM_WR_GB 0x20\nPIM_BARRIER 0x0\nLD 64\nPIM_MAC_AB 0x2a0\nPIM_MAC_AB 0x2c0\nPIM_SFM 0x0\n"
AIM = "# GEMV, one row\nAiM WR_GB 4 0 0x3\nAiM ISR_WR_BIAS 0 3\nAiM MAC_ABK 64 0xffffffff 17\nW CFR 2 1\nAiM RD_MAC 1 0x3\nR MEM 31 15 16383\nAiM EOC\n"


def convert(tmp_path: Path, text: str, to: str, **options) -> str:
    (tmp_path / "in").write_text(text)
    export.export(tmp_path / "in", tmp_path / "out", to=to, **options)
    return (tmp_path / "out").read_text()


def test_requests_in_every_syntax(tmp_path):
    """The same four requests; forms as the specifications of the tools give them."""
    assert convert(tmp_path, LOAD_STORE, "ramulator2") == "LD 0x0\nST 0x40\nLD 0x1f40\nLD 0x1cbe991a14\n"
    assert convert(tmp_path, LOAD_STORE, "dramsim3", interval_cycles=3) == (
        "0x0 READ 0\n0x40 WRITE 3\n0x1f40 READ 6\n0x1cbe991a14 READ 9\n"
    )
    assert convert(tmp_path, LOAD_STORE, "attacc") == convert(tmp_path, LOAD_STORE, "ramulator2")


def test_aim_addresses_by_hand(tmp_path):
    """2048 bytes of a row, then 32 channels, then 16 banks: channel 3, bank 5, row 7 and the accesses beside it."""
    base = (7 * 16 + 5) * 32 * 2048 + 3 * 2048
    text = f"LD {base}\nST {base + 2047}\nLD {base + 2048}\nLD {base + 32 * 2048}\n"
    assert convert(tmp_path, text, "aim") == "R MEM 3 5 7\nW MEM 3 5 7\nR MEM 4 5 7\nR MEM 3 6 7\nAiM EOC\n"
    with pytest.raises(TraceError, match="beyond the 16 GiB"):
        convert(tmp_path, f"LD {16 << 30}\n", "aim")
    assert list(tmp_path.glob("*.partial")) == []


ADDRESSES = st.integers(0, (1 << 62) - 1)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(ADDRESSES, st.booleans(), st.integers(0, 1 << 40)), min_size=1, max_size=50))
def test_round_trip(tmp_path_factory, rows):
    """Every address, kind and (where the syntax has them) cycle comes back."""
    folder = tmp_path_factory.mktemp("round")
    table = [np.array(column) for column in zip(*rows, strict=True)]
    stream = RequestStream(lambda: [Requests(address=table[0], write=table[1], cycle=table[2])], "made")
    for syntax in ("ramulator2", "dramsim3"):
        export.export(stream, folder / "out", to=syntax)
        pieces = list(export.read_requests(folder / "out", syntax))
        assert np.concatenate([piece.address for piece in pieces]).tolist() == table[0].tolist()
        assert np.concatenate([piece.write for piece in pieces]).tolist() == table[1].tolist()
        if syntax == "dramsim3":
            assert np.concatenate([piece.cycle for piece in pieces]).tolist() == table[2].tolist()


def test_times_survive(tmp_path):
    """A DRAMSim3 trace keeps its own cycles, whatever the interval."""
    text = "0x40 READ 7\n0x80 WRITE 100\n"
    assert convert(tmp_path, text, "dramsim3", interval_cycles=9) == text
    assert convert(tmp_path, text, "ramulator2") == "LD 0x40\nST 0x80\n"


def test_pim_programs(tmp_path):
    """Comments and prefixes go, every instruction stays; what was written reads back to the same."""
    aim = convert(tmp_path, AIM, "aim")
    assert aim == (
        "AiM WR_GB 4 0 0x3\nAiM WR_BIAS 0 0x3\nAiM MAC_ABK 64 0xffffffff 17\nW CFR 2 1\nAiM RD_MAC 1 0x3\n"
        "R MEM 31 15 16383\nAiM EOC\n"
    )
    assert convert(tmp_path, aim, "aim") == aim
    attacc = convert(tmp_path, ATTACC, "attacc")
    assert attacc == ATTACC.replace("LD 64", "LD 0x40")
    (tmp_path / "again").write_text(attacc)
    first, again = export.read_pim(tmp_path / "in", "attacc"), export.read_pim(tmp_path / "again", "attacc")
    assert first.commands == again.commands
    with pytest.raises(ConfigError, match="a program of attacc; its commands have no counterpart in aim"):
        convert(tmp_path, ATTACC, "aim")


@pytest.mark.parametrize(
    ("text", "to", "options", "message"),
    [
        ("LD 0\nRD 5\n", "dramsim3", {}, r"in:2: 'RD 5'; a line is 'LD ADDRESS'"),
        ("LD -1\n", "dramsim3", {}, "in:1"),
        ("LD 99999999999999999999\n", "dramsim3", {}, "in:1"),
        ("LD 0\n\n", "dramsim3", {}, "in:2"),
        ("", "dramsim3", {}, "in: the trace is empty"),
        ("hello\n", "aim", {}, "in: the first line is of none of the formats"),
        ("LD \xff\n", "aim", {}, "in:1: bytes that are no text"),
        ("LD " + "1" * 5000 + "\n", "aim", {}, "in:1: longer than 4096"),
        ("LD 0\n", "aimm", {}, "--to aimm: unknown format; did you mean 'aim'"),
        ("LD 0\n", "aim", {"source_format": "ramulator"}, "did you mean 'ramulator2'"),
        ("PIM_MAC_AB 0\nPIM_MAC_AC 0\n", "attacc", {}, "in:2: unknown operation 'PIM_MAC_AC'; did you mean"),
        ("PIM_MAC_AB 0 1\n", "attacc", {}, "in:1: 'PIM_MAC_AB 0 1'; a line is 'OPERATION ADDRESS'"),
        ("AiM MAC_ABK 1 3\nAiM EOC\n", "aim", {}, r"in:1: AiM MAC_ABK takes 3 operands \(opsize mask row\), found 2"),
        ("AiM MAC_ABC 1 3 4\nAiM EOC\n", "aim", {}, "in:1: unknown instruction 'AiM MAC_ABC'; did you mean 'AiM MAC_ABK'"),
        ("AiM MAC_ABK 1 3 16384\nAiM EOC\n", "aim", {}, "in:1: row of AiM MAC_ABK is '16384'; a number is expected, below 16384"),
        ("AiM SYNC\n", "aim", {}, "does not end with 'AiM EOC'"),
    ],
)
def test_bad_traces(tmp_path, text, to, options, message):
    """One message with file, line and form; no output."""
    (tmp_path / "in").write_bytes(text.encode("latin-1"))
    with pytest.raises((TraceError, ConfigError), match=message):
        export.export(tmp_path / "in", tmp_path / "out", to=to, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_decode_step(tmp_path):
    """The bytes read are those of the activated experts, each row once, inside the experts' rows."""
    options = experiment.load("quickstart", ["batch=[2]", "samples=1", "placements=[topic_aware]"])
    stream = export.step_stream(options, export.LoweredStep(layers=range(3, 5), transaction_bytes=4096))
    address = np.concatenate([piece.address for piece in stream])
    assert len(np.unique(address)) == len(address) and (address % 4096 == 0).all()
    expert_bytes = 3 * 2048 * 1024 * 2  # OLMoE: three matrices of 2048 x 1024 in two bytes
    stripes, rest = divmod(len(address) * 4096, expert_bytes)
    assert rest == 0 and 2 * 8 <= stripes <= 2 * 16  # two layers, two tokens, top 8
    everything = np.concatenate([piece.address for piece in export.step_stream(options, export.LoweredStep(transaction_bytes=4096))])
    assert set(address.tolist()) < set(everything.tolist())
    for wrong, message in [
        ({"placement": "topic_awar"}, "did you mean 'topic_aware'"),
        ({"batch": 3}, "no batch 3; it has 2"),
        ({"draw": 99999}, "draw 99999"),
        ({"layers": range(99, 100)}, "layers 0 to 15"),
        ({"transaction_bytes": 48}, "does not divide"),
    ]:
        with pytest.raises(ConfigError, match=message):
            export.step_stream(options, export.LoweredStep(**wrong))


def test_the_command(tmp_path):
    """From the command line, a trace and an experiment."""
    (tmp_path / "in.trace").write_text(LOAD_STORE)
    run = CliRunner().invoke
    done = run(app, ["export", str(tmp_path / "in.trace"), "--to", "dramsim3", "-o", str(tmp_path / "a")])
    assert done.exit_code == 0 and (tmp_path / "a").read_text().startswith("0x0 READ 0\n")
    step = ["export", "quickstart", "--to", "ramulator2", "-p", "batch=[1]", "-p", "samples=1", "--layers", "0-0"]
    done = run(app, [*step, "--placement", "static_hot", "--transaction-bytes", "4096", "-o", str(tmp_path / "b")])
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "b").read_text().splitlines()
    assert len(lines) == 8 * 3 * 2048 * 1024 * 2 // 4096 and all(re.fullmatch(r"LD 0x[0-9a-f]+", line) for line in lines)
    done = run(app, [*step[:2], "--to", "aim", "--layers", "3-1", "-o", str(tmp_path / "c")])
    assert done.exit_code == 2 and not (tmp_path / "c").exists()


def test_syntax_of_the_reference_traces(shared, tmp_path):
    """The traces of the reference cases of both PIM simulators read, and come back command for command."""
    seen = {"attacc": set(), "aim": set()}
    for kind, operations in seen.items():
        for packed in sorted((shared / "goldens" / "pim" / kind).glob("*/*.gz")):
            if "trace" not in packed.name or packed.stat().st_size > 50_000:
                continue
            (tmp_path / "trace").write_bytes(gzip.decompress(packed.read_bytes()))
            program = export.read_pim(tmp_path / "trace", kind)
            export.export(tmp_path / "trace", tmp_path / "out", to=kind, source_format=kind)
            assert export.read_pim(tmp_path / "out", kind).commands == program.commands
            operations |= {command.operation for command in program.commands}
    assert len(seen["attacc"]) >= 8 and len(seen["aim"]) >= 12
    assert seen["attacc"] <= set(ATTACC_OPERATIONS) and seen["aim"] <= set(AIM_INSTRUCTIONS)
