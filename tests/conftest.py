"""What all tests share: where reference data may lie."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no error of the code.
settings.register_profile("moeram", deadline=None)
settings.load_profile("moeram")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _own_memo(tmp_path_factory):
    """No test reads or leaves results in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOERAM_MEMO_DIR", str(tmp_path_factory.mktemp("kernels")))
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference results and real traces; tests that need it skip without it."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the reference data (../shared) are not here")
    return folder


@pytest.fixture(scope="session")
def moeram_sim() -> Path:
    """The moeram-sim that was installed with the package: beside it (pip --target), in the environment, or on PATH."""
    import moeram

    places = [Path(moeram.__file__).resolve().parent.parent / "bin", Path(sys.prefix) / "bin"]
    for place in places:
        if (place / "moeram-sim").is_file():
            return place / "moeram-sim"
    found = shutil.which("moeram-sim")
    assert found, f"moeram-sim is in none of {', '.join(map(str, places))} and not on PATH"
    return Path(found)
