"""Where the standalone program is."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

import moeram


@pytest.fixture(scope="session")
def moeram_sim() -> Path:
    """The moeram-sim that was installed with the package: beside it (pip --target), in the environment, or on PATH."""
    places = [Path(moeram.__file__).resolve().parent.parent / "bin", Path(sys.prefix) / "bin"]
    for place in places:
        if (place / "moeram-sim").is_file():
            return place / "moeram-sim"
    found = shutil.which("moeram-sim")
    assert found, f"moeram-sim is in none of {', '.join(map(str, places))} and not on PATH"
    return Path(found)
