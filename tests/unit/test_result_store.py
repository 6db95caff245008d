"""The store of results: what goes in comes out, and nothing damaged ever does."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from moeram.errors import ConfigError, MoeramError
from moeram.metrics import Table
from moeram.runs import ResultStore

ABOUT = {
    "experiment": {"batch": [1, 2]},
    "fidelity": "analytic",
    "routing_fidelity": "synthetic",
    "notes": [],
    "version": "1",
}
TABLES = {
    "points": Table(
        "points",
        {
            "batch": [1, 2, 4],
            "time_us": [0.1, float("nan"), 3e9],
            "placement": ["a", "b", "käse"],
            "ok": [True, False, True],
        },
    ),
    "energy": Table("energy", {"component": [], "energy_uj": []}, {"energy_uj": "uJ"}),
}
KEY = "a" * 64


@pytest.fixture
def store(tmp_path):
    store = ResultStore(tmp_path / "store")
    store.put(KEY, TABLES, ABOUT, wall_time_s=1.5)
    return store


def file_of(store):
    return store.folder / "points" / f"{KEY}.parquet"


def test_tables_come_back_as_they_were(store):
    found = ResultStore(store.folder).get(KEY)
    assert found.about == {**ABOUT, "key": KEY}
    assert set(found.tables) == set(TABLES)
    for name, table in TABLES.items():
        assert found.tables[name].columns == table.columns
        assert found.tables[name].units == table.units
        for column in table.columns:
            np.testing.assert_array_equal(found.tables[name][column], table[column])
            assert len(table) == 0 or found.tables[name][column].dtype.kind == table[column].dtype.kind


def test_equal_results_are_equal_files(store, tmp_path):
    other = ResultStore(tmp_path / "other")
    other.put(KEY, TABLES, ABOUT, wall_time_s=99.0)
    assert file_of(other).read_bytes() == file_of(store).read_bytes()


def damage_cut(content):
    return content[: len(content) // 2]


def damage_flip(content):
    middle = len(content) // 3
    return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]


@pytest.mark.parametrize("damage", [damage_cut, damage_flip, lambda content: b"", lambda content: None])
def test_a_damaged_file_is_no_result(store, damage):
    changed = damage(file_of(store).read_bytes())
    if changed is None:
        file_of(store).unlink()
    else:
        file_of(store).write_bytes(changed)
    assert not store.find(KEY)
    with pytest.raises(MoeramError, match="damaged"):
        store.get(KEY)
    store.put(KEY, TABLES, ABOUT, wall_time_s=1.0)
    assert store.find(KEY)


@pytest.mark.parametrize("content", [b"", b"no database at all, and long enough to be read as one" * 50])
def test_a_broken_index_is_made_anew_from_sound_files(store, content):
    store.put("b" * 64, TABLES, ABOUT, wall_time_s=1.0)
    lost = store.folder / "points" / f"{'b' * 64}.parquet"
    lost.write_bytes(damage_cut(lost.read_bytes()))
    (store.folder / "points" / f"{'c' * 64}.parquet").write_bytes(file_of(store).read_bytes())  # of another key
    (store.folder / "index.sqlite").write_bytes(content)
    again = ResultStore(store.folder)
    if content:
        assert again.keys() == [KEY]
    assert again.find(KEY) == bool(content)  # an empty file is an empty index: nothing is believed, nothing breaks


def test_an_index_of_another_shape_is_made_anew(store):
    with sqlite3.connect(store.folder / "index.sqlite") as index:
        index.execute("DROP TABLE results")
        index.execute("CREATE TABLE results (key TEXT, something TEXT)")
    assert ResultStore(store.folder).find(KEY)


def test_writers_at_once_lose_nothing(tmp_path):
    keys = [f"{number:064x}" for number in range(24)]

    def put(key):
        ResultStore(tmp_path / "store").put(key, TABLES, ABOUT, wall_time_s=0.0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, [*keys, *keys]))
    store = ResultStore(tmp_path / "store")
    assert store.keys() == keys
    assert all(store.find(key) for key in keys)
    assert not list((store.folder / "points").glob("*.partial"))


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="no sweep's"):
        ResultStore(tmp_path)
    with pytest.raises(ConfigError, match="is a file"):
        ResultStore(tmp_path / "letter.txt")
    assert os.listdir(tmp_path) == ["letter.txt"]
