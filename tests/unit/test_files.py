"""Files appear whole or not at all."""

from __future__ import annotations

import os

import pytest

from moeram.errors import ConfigError
from moeram.files import check_target, whole_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "out.txt"
    with whole_file(target) as partial:
        partial.write_text("half")
        assert not target.exists()
    assert names(tmp_path) == ["out.txt"] and target.read_text() == "half"


@pytest.mark.parametrize(
    ("fault", "raised", "words"),
    [
        (OSError(28, "No space left on device"), ConfigError, "out.txt: cannot be written: No space left"),
        (KeyError("x"), KeyError, None),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_what_was_there_stays_after_a_fault(tmp_path, fault, raised, words):
    target = tmp_path / "out.txt"
    target.write_text("before")
    with pytest.raises(raised, match=words), whole_file(target) as partial:
        partial.write_text("half")
        raise fault
    assert names(tmp_path) == ["out.txt"] and target.read_text() == "before"


def test_targets_that_no_file_can_take(tmp_path):
    with pytest.raises(ConfigError, match="this is a folder"):
        check_target(tmp_path)
    with pytest.raises(ConfigError, match="no/out.txt: cannot be written: .*no is not a folder"):
        check_target(tmp_path / "no" / "out.txt")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe: cannot be written: a device or pipe"):
        check_target(tmp_path / "pipe")
    check_target(tmp_path / "out.txt")
