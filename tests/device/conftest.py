"""The modules beside this file are importable, and every shipped standard is a parameter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from subjects import NAMES, Subject, subject


@pytest.fixture(scope="session", params=NAMES)
def standard(request) -> Subject:
    return subject(request.param)
