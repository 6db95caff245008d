"""Figures and terminal tables."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from moeram.errors import MoeramError
from moeram.metrics import GAINS, Table
from moeram.report import (
    decomposition_figure,
    decomposition_tables,
    fitting_table,
    plain_table,
    points_table,
    width_of,
)

NAN = float("nan")


def decomposition(**changes):
    batch = [1, 2, 4, 8, 16, 32]
    columns = {
        "batch": batch,
        "layers": ["all"] * 6,
        "occupancy": [1.33, 1.33, 1.32, 1.30, 1.22, 1.10],
        "popularity": [1.06, 1.05, 1.05, 1.04, 1.03, 1.02],
        "topic": [1.04, 1.03, 1.03, 1.02, 1.01, 1.00],
    }
    columns["total"] = np.prod([columns[name] for name in ("occupancy", "popularity", "topic")], axis=0)
    columns |= {f"{name}_ci95": [0.02, 0.015, 0.01, 0.008, 0.006, 0.004] for name in GAINS}
    columns |= {"closed_form_total": [1.47, 1.46, 1.45, 1.42, 1.40, 1.39], "paper": [1.45] * 6}
    return Table("decomposition", columns | changes)


def pixels(path):
    return pytest.importorskip("matplotlib.image").imread(path)


def test_figure_has_the_size_of_a_column_and_the_colours_of_its_parts(tmp_path):
    decomposition_figure(decomposition(), tmp_path / "figure.png", title="OLMoE-1B-7B on Stratum-S")
    image = pixels(tmp_path / "figure.png")[..., :3]
    assert image.shape[1] == 1050 and image.shape[0] > 700
    assert (image[:, [0, 1, -2, -1]] == 1).all() and (image[[0, 1, -2, -1]] == 1).all(), "something is cut off"
    for colour in ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#000000"):
        wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        assert (np.abs(image - wanted).max(axis=2) < 0.02).sum() > 100, colour


def test_figure_without_a_paper_line_or_without_gains(tmp_path):
    plain = decomposition(paper=[NAN] * 6)
    decomposition_figure(plain, tmp_path / "plain.png")
    vermilion = np.array([0xD5, 0x5E, 0x00]) / 255
    assert (np.abs(pixels(tmp_path / "plain.png")[..., :3] - vermilion).max(axis=2) < 0.02).sum() == 0
    decomposition_figure(decomposition(**{name: [NAN] * 6 for name in GAINS}), tmp_path / "empty.png")


def test_figure_is_the_same_each_time(tmp_path):
    for name in ("a.png", "b.png"):
        decomposition_figure(decomposition(), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_figure_without_matplotlib(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MoeramError, match=r"need matplotlib .*pip install matplotlib"):
        decomposition_figure(decomposition(), tmp_path / "figure.png")


def text_of(*renderables, width=80):
    console = Console(width=width, file=io.StringIO())
    console.print(*renderables)
    return console.file.getvalue()


def test_points_table_shows_no_value_as_an_empty_field():
    columns = {
        "batch": [1, 1],
        "placement": ["no_tiering", "topic_aware"],
        "step_time_us": [100.0, 70.0],
        "step_time_ci95_us": [NAN, 1.0],
        "tokens_per_s": [10000.0, 14285.7],
        "hit_rate_held_out": [NAN, 0.345],
        "active_experts_per_layer": [8.0, 8.0],
        "bandwidth_utilisation": [0.5, 0.7],
        "energy_per_token_uj": [8000.0, 7900.0],
        "fidelity": ["cycle", "cycle"],
    }
    text = text_of(points_table(Table("points", columns), paper_hit_rate=0.485))
    assert "nan" not in text and "34.5%" in text and "14,286" in text and "48.5%" in text


def test_decomposition_table_shows_intervals_and_the_paper():
    text = text_of(*decomposition_tables(decomposition()))
    assert "1.330 ±.020" in text and "1.450" in text and "nan" not in text


def test_measured_layers_have_a_table_of_their_own_and_80_columns_are_enough():
    mixed = decomposition(layers=["all"] * 3 + ["measured"] * 3)
    tables = decomposition_tables(mixed)
    texts = [text_of(table) for table in tables]
    assert "all layers" in texts[0] and "measured layers" in texts[1] and " 32 " in texts[1] and " 32 " not in texts[0]
    assert "…" not in "".join(texts) and max(len(line.rstrip()) for line in "".join(texts).splitlines()) <= 80


def wide(rows=2):
    names = ("tokens_per_s_per_user", "goodput_requests_per_s", "run_energy_per_token_uj", "schedule.options", "moved_bytes")
    return Table("wide", {f"{name}{place}" if place else name: [1234567890123] * rows for place in range(3) for name in names})


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_table_shows_the_columns_that_fit_whole_and_names_the_others(width):
    table, hidden = fitting_table(wide(), "wide", width=width)
    text = text_of(table, width=width)
    assert "…" not in text and hidden
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    shown = len(wide().columns) - len(hidden)
    assert hidden == wide().columns[shown:]
    more, _ = fitting_table(wide(), "wide", width=10_000, keep=shown + 1)
    one_more = Table("wide", {name: wide()[name] for name in wide().columns[: shown + 1]})
    assert width_of(table) <= width < width_of(plain_table(one_more, "wide"))
    assert width_of(more) == width_of(plain_table(wide(), "wide"))


def test_columns_that_must_stay_do_so_in_any_width():
    _, hidden = fitting_table(wide(), "wide", width=10, keep=4)
    assert hidden == wide().columns[4:]


def test_one_row_of_many_columns_is_turned_on_its_side():
    text = text_of(plain_table(wide(rows=1), "wide"))
    assert "…" not in text and "tokens per s per user" in text and len(text.splitlines()) > len(wide().columns)
