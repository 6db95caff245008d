"""A run's folder: complete, replaceable, never half-written."""

from __future__ import annotations

import csv
import json

import pytest

import moeram
from moeram import runs
from moeram.errors import ConfigError

TABLES = {"points", "decomposition", "layers", "tiers", "energy", "resources", "power", "tier_power"}


@pytest.fixture
def record(fake_core):
    return moeram.run("quickstart", batch=[1, 2], samples=1, topics=["topic_0", "topic_1"], seed=7)


def test_everything_is_there(record, tmp_path):
    folder = runs.save(record, tmp_path / "deep" / "run", "1.2")
    names = {file.name for file in folder.iterdir()}
    assert names == {"config.yaml", "provenance.json", "decomposition.png"} | {
        f"{table}.{ending}" for table in TABLES for ending in ("csv", "parquet")
    }
    with open(folder / "points.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["step_time_us"]) for row in rows] == record["points"]["step_time_us"].tolist()
    assert {row["hit_rate_held_out"] for row in rows if row["placement"] == "no_tiering"} == {""}


def test_provenance(record, tmp_path):
    told = json.loads((runs.save(record, tmp_path / "run", "1.2") / "provenance.json").read_text())
    assert (told["moeram"], told["seed"], told["fidelity"], told["routing_fidelity"]) == (
        "1.2",
        7,
        "cycle-memo",
        "synthetic",
    )
    assert told["key"] == runs.run_key(record.experiment, "1.2") and len(told["config_sha256"]) == 64
    assert told["host"]["cores"] >= 1 and told["host"]["cpu"] and told["host"]["python"]
    assert told["wall_time_s"] > 0 and told["peak_memory_bytes"] > 10_000_000
    assert told["rows_of_a_bank"]["rows_per_expert"] == 12 and told["model"]["experts"] == 64
    assert told["packages"]["numpy"] and told["notes"] == list(record.notes)


def test_a_run_is_replaced_but_nothing_else(record, tmp_path):
    folder = runs.save(record, tmp_path / "run", "1")
    names = sorted(entry.name for entry in folder.iterdir())
    inode = folder.stat().st_ino
    runs.save(record, folder, "2")
    assert sorted(entry.name for entry in folder.iterdir()) == names and folder.stat().st_ino == inode
    assert json.loads((folder / "provenance.json").read_text())["moeram"] == "2"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_an_empty_folder_is_used(record, tmp_path):
    (tmp_path / "run").mkdir()
    assert (runs.save(record, tmp_path / "run", "1") / "points.csv").exists()


def test_a_user_s_file_in_a_run_is_never_touched(record, tmp_path):
    """Neither a note beside a run nor a folder that only looks like one."""
    folder = runs.save(record, tmp_path / "run", "1")
    (folder / "note.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds 'note.txt', which is no moeram run"):
        runs.save(record, folder, "2")
    assert (folder / "note.txt").read_text() == "mine"
    assert json.loads((folder / "provenance.json").read_text())["moeram"] == "1"
    other = tmp_path / "other"
    other.mkdir()
    (other / "provenance.json").write_text('{"mine": 1}')
    with pytest.raises(ConfigError, match="which is no moeram run"):
        runs.save(record, other, "1")


def test_a_link_to_a_folder_is_followed(record, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    runs.save(record, tmp_path / "link", "1")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "points.csv").exists()


@pytest.mark.parametrize("kind", ["file", "folder with other files", "folder below a file"])
def test_places_that_are_refused(record, tmp_path, kind):
    target = tmp_path / "run"
    if kind == "folder with other files":
        target.mkdir()
        (target / "thesis.tex").touch()
    else:
        target.touch()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="choose another with -o"):
        runs.save(record, target / "below" if kind == "folder below a file" else target, "1")
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_left_when_writing_fails(record, tmp_path, monkeypatch):
    folder = runs.save(record, tmp_path / "run", "1")
    monkeypatch.setattr(
        "moeram.runs.store.decomposition_figure", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(ConfigError, match="cannot be written: disk full"):
        runs.save(record, tmp_path / "run", "2")
    with pytest.raises(ConfigError, match="cannot be written: disk full"):
        runs.save(record, tmp_path / "new", "2")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]
    assert json.loads((folder / "provenance.json").read_text())["moeram"] == "1"
