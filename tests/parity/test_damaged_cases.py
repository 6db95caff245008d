"""Reference cases with damaged configurations and traces: moeram-sim ends soon, with statistics or with one message."""

from __future__ import annotations

import gzip
import random
import subprocess
from pathlib import Path

import pytest

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "goldens" / "ramulator2" / "cases"
NAMES = sorted(path.parent.name for path in CASES.glob("*/config.yaml")) or ["none"]
LINES = 300  # of a trace: what is damaged matters, not how long it runs
WORDS = [b"-1", b"0", b"99999999999999999999", b"1e400", b"[]", b"{}", b"null", b"'", b"&x", b"*x", b"\xff\xfe\x00", b"\t", b": ", b"- ", b"HBM3"]


def damaged(text: bytes, rng: random.Random) -> bytes:
    """Cut, delete, double, insert or overwrite at a random place, one to three times."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text) + 1)
        length = rng.choice([1, 1, 4, 30])
        change = rng.randrange(5)
        if change == 0:
            text = text[:at]
        elif change == 1:
            text = text[:at] + text[at + length :]
        elif change == 2:
            text = text[:at] + text[at : at + length] + text[at:]
        elif change == 3:
            text = text[:at] + rng.choice(WORDS) + text[at:]
        else:
            text = text[:at] + bytes(rng.randrange(256) for _ in range(length)) + text[at + length :]
    return text


def unpack(case: Path, folder: Path) -> list[Path]:
    """The config and the beginning of each trace, whole lines."""
    files = [folder / "config.yaml"]
    files[0].write_bytes((case / "config.yaml").read_bytes())
    for path in sorted(case.glob("*.trace*")):
        text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        files.append(folder / path.name.removesuffix(".gz"))
        files[-1].write_bytes(b"".join(text.splitlines(keepends=True)[:LINES]))
    return files


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_case_ends_well(shared, moeram_sim, tmp_path, name):
    """Exit status 0 with statistics or 2 with one message of printable text; no abort, no hang, no half-written trace."""
    case = shared / "goldens" / "ramulator2" / "cases" / name
    assert case.is_dir(), "no reference case found"
    rng = random.Random(name)
    for _ in range(6):
        files = unpack(case, tmp_path)
        victim = rng.choice(files)
        victim.write_bytes(damaged(victim.read_bytes(), rng))
        done = subprocess.run(
            [str(moeram_sim), "-f", "config.yaml", "--max-cycles", "200000"],
            check=False,
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
        )
        note = (victim.read_bytes()[:2000], done.stderr[-2000:])
        assert done.returncode in (0, 2), note
        assert (done.returncode == 0) == (b"memory_system_cycles" in done.stdout), note
        if done.returncode == 2:
            message = done.stderr.decode()
            assert message.count("moeram-sim: ") == 1 and "std::" not in message and "bad_alloc" not in message, note
        assert not list(tmp_path.rglob("*.partial")), note
