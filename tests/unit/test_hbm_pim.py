"""HBM2@hbm-pim: times of its kernels against the published runs and by hand, its modes and microcode against their rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moeram.errors import CapacityError, ConfigError, TraceError
from moeram.hardware.cycle import load_core
from moeram.hardware.program_runs import ProgramMemory, play_program
from moeram.pim import hbm_pim
from moeram.pim.hbm_pim import Program, elementwise, gemv, host_stream, lower, run

# samsung_hbm_pim.md, Throughput: cycles of 64 pseudochannels with units and without.
MEGA = 1 << 20
PUBLISHED = {"GEMV": (13166, 36082), "ADD": (3349, 6651), "MUL": (5926, 13255), "RELU": (7665, 17504)}
COLUMN = 64 * 32  # bytes of a column in 64 pseudochannels


def kernels(name):
    """The program of a published run, and what the host does without units."""
    if name == "GEMV":
        return gemv(4096, 4096), host_stream(4096 * 4096 * 2 // COLUMN)
    elements = {"ADD": MEGA, "MUL": 2 * MEGA, "RELU": 4 * MEGA}[name]
    columns = elements * 2 // COLUMN
    return elementwise(name, elements), host_stream(columns if name == "RELU" else 2 * columns, columns)


def cycles(program, refresh=True):
    return run(program, refresh)["memory_system_cycles"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_speed_ups_of_the_published_runs(name):
    with_units, without = PUBLISHED[name]
    program, host = kernels(name)
    assert cycles(host) / cycles(program) == pytest.approx(without / with_units, rel=0.1)
    assert cycles(host) == pytest.approx(without, rel=0.05)


# Cycles between first commands: nRP 14, nRCDRD 14, nRCDWR 10, seven steps of nCCDL 4, nRTPL 5; the next bank goes on a cycle later.
SEVEN = 7 * 4
READ = 14 + 14 + SEVEN  # from the precharge to the last column
AGAIN = 5  # to the precharge of the next row


def test_elementwise_tiles_by_hand():
    def tile(name, size=1 << 18):  # that is two tiles in every bank of 64 pseudochannels, even and odd
        return (cycles(elementwise(name, 2 * size), refresh=False) - cycles(elementwise(name, size), refresh=False)) / 4

    write = 14 + 10 + SEVEN + 1
    assert tile("ADD") == pytest.approx(READ + AGAIN + READ + AGAIN + write, abs=2)
    assert tile("MUL") == tile("ADD")
    assert tile("RELU") == pytest.approx(READ + AGAIN + write, abs=3)


def test_gemv_tiles_by_hand():
    def added(inputs):
        return cycles(gemv(4096, inputs + 256), False) - cycles(gemv(4096, inputs), False)

    row = 31 * 4
    rows = row + AGAIN + 14 + 14 + row
    # Even banks share their row buffer with the input registers: nCWL 8 + nBL 2 + nWR 16 before the weights open.
    even = AGAIN + 14 + 10 + SEVEN + 26 + 14 + 14 + rows
    # Odd banks keep theirs: RD to WR 15; the weights' row closes a cycle after the last write.
    odd = 15 + SEVEN + 1 + 14 + 14 + rows
    assert added(1024) == even + odd


def test_counts_and_peak():
    counts = run(gemv(4096, 4096), refresh=False)["command_counts_by_channel"][0]
    assert counts["RDH"] == 2048  # the sheet's; 8192 cycles at least
    assert counts["WRH"] == 32 * 8 + 8 + 1 + 2 + 2  # inputs, results, microcode, on and off, the two that lead back
    program = Program()
    program.enter(["EXIT"])
    start = cycles_of_lines(program, 0)
    # eight units of 32 bytes in nCCDL: 64 GB/s, four times the pins' 32 bytes in nCCDS
    first = 32 * 4 - (33 - 14 - AGAIN)  # one read alone waits for nRAS 33 before its row closes
    assert cycles_of_lines(program, 16) - start == first + 15 * (31 * 4 + AGAIN + 14 + 14)


def cycles_of_lines(start, rows):
    program = Program()
    program.lines = list(start.lines)
    program.read(0, 0, 0, 1)
    for row in range(rows):
        program.read(0, row, 0, 32)
    program.leave()
    return cycles(program, refresh=False)


def test_host_streams_run_at_peak_but_for_refresh():
    # 231 and 243 GB/s of 256 (the sheet, 16 pseudochannels)
    for program, published in ((host_stream(20000), 231), (host_stream(0, 20000), 243)):
        rate = 20000 * 32 * 16 / cycles(program)
        assert rate == pytest.approx(published, rel=0.06)
        assert rate < 256 * (1 - 350 / 3900)


def test_jumping_over_idle_cycles_changes_nothing(monkeypatch):
    program = elementwise("ADD", MEGA)
    jumped = run(program)
    core = load_core()
    every = core.run_queued
    monkeypatch.setattr(core, "run_queued", lambda path, **options: every(path, **options, skip=False))
    assert run(program) == jumped


def test_all_pseudochannels_take_the_time_of_one():
    one = elementwise("ADD", MEGA)
    position = {"MEM RD": 3, "PIM RD": 3, "PIM WR": 3, "PIM CRF": 2, "PIM SET": 2, "PIM CLOSE": 2}
    every = []
    for line in one.lines:
        words = line.split()
        words[position[" ".join(words[:2])]] = "0xf"
        every.append(" ".join(words))
    memory = ProgramMemory(
        standard="HBM2@hbm-pim", organization={"preset": "HBM2_PIM", "channel": 4}, timing={"preset": "HBM2_2000Mbps"}
    )
    result, alone = play_program(memory, "\n".join([*every, "PIM END", ""])), run(one)
    assert result["memory_system_cycles"] == alone["memory_system_cycles"]
    assert list(result["command_counts_by_channel"].values()) == 4 * [alone["command_counts_by_channel"][0]]


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="outputs come in multiples of 4096, inputs of 128"):
        gemv(4000, 4096)
    with pytest.raises(ConfigError, match="multiples of 131072"):
        elementwise("ADD", 1000)
    with pytest.raises(ConfigError, match="allowed: ADD, MUL, RELU"):
        elementwise("SUB", MEGA)
    with pytest.raises(CapacityError, match="those from 4096 on have a meaning of their own"):
        gemv(1 << 20, 8192)


# Programs that break the rules: lines after entering HAB with some microcode, and what is said.
ENTER = 16 + 4  # lines of parking and of the change


def refused(microcode, *lines, leave=True):
    program = Program()
    program.enter(microcode)
    program.lines += lines
    if leave:
        program.leave()
    with pytest.raises(TraceError) as caught:
        run(program)
    return str(caught.value)


def test_commands_in_the_wrong_mode_are_named_with_their_line():
    program = Program()
    program.lines = ["PIM RD 8 1 0 0 0"]
    with pytest.raises(
        TraceError, match=r"program.txt:1: PIM RD needs mode HAB or HAB_PIM, and the mode is SB from the beginning"
    ):
        run(program)
    message = refused(["EXIT"], "MEM RD 1 1 3 0 0")
    assert f"program.txt:{ENTER + 2}: MEM RD needs mode SB, and the mode is HAB since line {ENTER}" in message
    assert "needs mode HAB, and the mode is HAB_PIM" in refused(["EXIT"], "PIM SET 1 on", "PIM CRF 1 4 EXIT")
    assert "the program ends in mode HAB, not in SB" in refused(["EXIT"], leave=False) or "PIM END" in refused(
        ["EXIT"], leave=False
    )


def test_the_way_back_closes_the_rows_that_it_opened():
    assert "row 8191 is not open in bank 0; the program used row 5 last" in refused(
        ["EXIT"], "PIM RD 1 1 0 5 0", "PIM CLOSE 1 0 0x1fff"
    )
    assert "PIM RD does not go to bank 2, only to 0 to 1" in refused(["EXIT"], "PIM RD 1 1 2 5 0")
    assert "2 columns from 31 on leave the row" in refused(["EXIT"], "PIM RD 2 1 0 5 31")


@pytest.mark.parametrize(
    ("microcode", "message"),
    [
        (["MUC GRF_A GRF_A EVEN_BANK"], "slot 0: instruction 'MUC' is unknown; did you mean 'MUL'"),
        (["ADD GRF_A[8] GRF_A[0] EVEN_BANK"], r"slot 0: GRF_A[8]: GRF_A has registers 0 to 7"),
        (["ADD GRF_C[0] GRF_A[0] EVEN_BANK"], "operand 'GRF_C' is unknown; did you mean 'GRF_"),
        (["ADD GRF_A GRF_A EVEN_BANK"], "GRF_A needs a number, or the instruction AUTO"),
        (["ADD GRF_A[1] GRF_A[1] EVEN_BANK AUTO"], "must have no number"),
        (["ADD GRF_A[0] ODD_BANK EVEN_BANK"], "names more than one bank"),
        (["ADD EVEN_BANK GRF_A[0] GRF_A[1]"], "cannot write to EVEN_BANK"),
        (["MAC GRF_A GRF_B EVEN_BANK AUTO"], "MAC adds to GRF_B, not to GRF_A"),
        (["MUL A_OUT GRF_B[0] GRF_A[0]"], "MUL does not write A_OUT"),
        (["ADD GRF_A GRF_A EVEN_BANK AUTO RELU"], "ADD has no RELU"),
        (["NOP 7", "JUMP 2 3"], "slot 1: JUMP goes back 2 slots, before the first"),
        (["JUMP 0 3"], "JUMP: '0' lies outside 1 to 65535"),
        (["NOP"], "NOP has 1 numbers"),
    ],
)
def test_microcode_out_of_bounds_is_named(microcode, message):
    text = refused(microcode)
    assert f"program.txt:{ENTER + 1}: " in text
    assert message in text


def test_programs_that_cannot_end_are_named():
    one = "PIM RD 1 1 0 0 0"
    assert "EXIT was never reached: the program stands at slot 0 (NOP 7)" in refused(
        ["NOP 7", "EXIT"], "PIM SET 1 on", one, "PIM SET 1 off"
    )
    assert "slot 1, which was never loaded; EXIT is missing" in refused(["NOP 0"], "PIM SET 1 on", one)
    loops = ["NOP 0", *["JUMP 1 65535"] * 20, "EXIT"]
    assert "EXIT was never reached: the program stands at slot 0 (NOP 0)" in refused(
        loops, "PIM SET 1 on", *[one] * 99, "PIM SET 1 off"
    )
    fill = ["FILL GRF_A EVEN_BANK", "EXIT"]
    assert "names EVEN_BANK, but the command goes to the other bank" in refused(
        fill, "PIM SET 1 on", "PIM RD 1 1 1 0 0"
    )
    assert "reads EVEN_BANK, but the command is a write" in refused(fill, "PIM SET 1 on", "PIM WR 1 1 0 0 0")
    assert "one of 'on' and 'off'" in refused(fill, "PIM SET 1 zero_a")
    assert "'of' is unknown" in refused(fill, "PIM SET 1 of")
    assert "registers cannot be read" in refused(fill, "PIM RD 1 1 0 0x3fff 8")
    assert "holds no register" in refused(fill, "PIM WR 1 1 0 0x3fff 2")
    assert "written with instructions of its own" in refused(fill, "PIM WR 1 1 0 0x3fff 4")


def steps(program):
    return [command.step for command in lower(program) if command.words in ("PIM RD", "PIM WR")]


def test_loops_and_automatic_registers():
    program = Program()
    program.enter(
        [
            "FILL GRF_A EVEN_BANK",
            "MAC GRF_B GRF_A EVEN_BANK AUTO",
            "JUMP 1 7",
            "MUL GRF_A[2] GRF_A[1] SRF_M[3]",
            "NOP 7",
            "EXIT",
        ]
    )
    program.start()
    program.read(0, 6)
    for row in (10, 11):
        program.read(0, row, 0, 32)
    program.read(0, 6, 0, 1)
    program.write(1, 12, 8)
    program.read(0, 6, 0, 3)  # beyond EXIT nothing runs
    program.stop()
    program.leave()
    done = steps(program)
    assert done[:8] == [("FILL", [("GRF_A", i), ("EVEN_BANK", -1)], False) for i in range(8)]
    # 64 multiplications: outputs by the column's last three bits, inputs by the row's last bit and the rest of the column
    macs = [("MAC", [("GRF_B", i % 8), ("GRF_A", i // 8), ("EVEN_BANK", -1)], False) for i in range(64)]
    assert done[8:72] == macs
    assert done[72] == ("MUL", [("GRF_A", 2), ("GRF_A", 1), ("SRF_M", 3)], False)
    assert done[73:81] == [("MOV", [("ODD_BANK", -1), ("GRF_B", i)], False) for i in range(8)]
    assert done[81:] == [None] * 3 + [None] * 2


def test_plain_moves_and_registers_of_the_host():
    program = Program()
    program.enter(["EXIT"])
    program.read(0, 7, 4, 2)
    program.write(1, 7, 9, 1)
    program.write(0, hbm_pim.SILENT_ROW, 0, 1)
    program.write_inputs("x")
    program.lines += [
        "PIM WR 1 1 0 0x3fff 1",
        "PIM WR 1 1 0 0x3fff 0x1a",
        "PIM SET 1 on all_registers",
        "PIM SET 1 off",
        "PIM SET 1 on",
        "PIM SET 1 off",
    ]
    program.leave()
    done = steps(program)
    assert done[:3] == [
        ("MOV", [("GRF_A", 4), ("EVEN_BANK", -1)], False),
        ("MOV", [("GRF_A", 5), ("EVEN_BANK", -1)], False),
        ("MOV", [("ODD_BANK", -1), ("GRF_B", 1)], False),
    ]
    assert done[3] is None
    assert done[4:12] == [("DATA", [("GRF_A", i)], False) for i in range(8)]
    assert done[12:14] == [("DATA", [("SRF", 0)], False), ("DATA", [("GRF_B", 2)], False)]


WORDS = [
    "ADD",
    "MUL",
    "MAC",
    "MAD",
    "MOV",
    "FILL",
    "NOP",
    "JUMP",
    "EXIT",
    "GRF_A",
    "GRF_A[0]",
    "GRF_B[7]",
    "GRF_B",
    "SRF_M[9]",
    "A_OUT",
    "M_OUT",
]
WORDS += [
    "EVEN_BANK",
    "ODD_BANK",
    "AUTO",
    "RELU",
    "0",
    "1",
    "65535",
    "-1",
    ";",
    "[",
    "GRF_A[",
    "GRF_A[]",
    "GRF_A[99999999999999999999]",
]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    microcode=st.lists(st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join), min_size=1, max_size=9),
    accesses=st.lists(st.tuples(st.booleans(), st.integers(0, 1), st.integers(0, 3), st.integers(0, 30)), max_size=9),
)
def test_any_microcode_runs_or_is_refused(microcode, accesses):
    program = Program()
    program.enter(microcode)
    program.start()
    for write, bank, row, column in accesses:
        (program.write if write else program.read)(bank, row, column, 2)
    program.stop()
    program.leave()
    try:
        assert run(program, refresh=False)["memory_system_cycles"] > 0
    except TraceError as error:
        assert "program.txt:" in str(error)


def test_a_declaration_without_its_parts_is_refused(tmp_path, repository):
    text = (repository / "configs" / "standards" / "HBM2@hbm-pim.yaml").read_text()
    path = tmp_path / "units.yaml"
    for old, new, message in (
        ("CRF: [4, 7], ", "", "'CRF', which take the program, are missing"),
        ("CRF: [4, 7]", "CRF: [7, 4]", "the first column lies behind the last"),
        ("ODD_BANK: GRF_B", "ODD_BANK: GRF_C", "register 'GRF_C' is unknown"),
        ("running: HAB_PIM", "running: HABPIM", "mode 'HABPIM' is unknown; did you mean 'HAB_PIM'"),
        ("by: [PIM CLOSE]", "by: [PIM CLOSED]", "operation 'PIM CLOSED' is unknown; did you mean 'PIM CLOSE'"),
        ("reaches_units_by: control", "reaches_units_by: controls", "'controls' is unknown; did you mean 'control'"),
        ("modes: [SB], statistic: RD", "modes: [BS], statistic: RD", "mode 'BS' is unknown"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        memory = ProgramMemory(
            standard=str(path), organization={"preset": "HBM2_PIM"}, timing={"preset": "HBM2_2000Mbps"}
        )
        with pytest.raises(ConfigError, match=message):
            play_program(memory, "PIM END\n")
