"""Studies: every shipped one loads, its smallest point runs, and what the table of a figure says is what its rows say."""

from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from moeram import runs
from moeram.errors import ConfigError
from moeram.metrics import Table
from moeram.report import study_figure
from moeram.runs import studies
from moeram.runs.studies import StudyFigure, build_sweep

# Values that make any point small; of these a study takes what its experiment has.
SMALL = {"step": {"samples": 1}, "serving": {"requests.count": 3, "requests.output_tokens": 2}}
# Where reference data has what a study asks for, below the folder `shared`.
REAL = {
    "olmoe_routing": "data/routing/olmoe-1b-7b.npz",
    "mixtral_routing": "data/routing/mixtral-8x7b-mtbench",
    "b200_moe": "data/gpu/b200_moe_vllm-0.24.0.parquet",
    "b200_gemm": "data/gpu/b200_gemm_vllm-0.19.0.parquet",
    "b200_context_attention": "data/gpu/b200_context_attention_vllm-0.19.0.parquet",
    "b200_generation_attention": "data/gpu/b200_generation_attention_vllm-0.19.0.parquet",
}


def test_every_study_says_what_it_asks_and_needs():
    assert runs.study_names()
    for name in runs.study_names():
        study = runs.load_study(name)
        assert study.name == name and study.question.endswith("?") and study.description
        used = str([study.fixed, study.over, study.points])
        assert all(f"${{{given}}}" in used for given in study.inputs)
        assert set(study.inputs) <= set(REAL)


@pytest.mark.parametrize("name", runs.study_names())
def test_the_first_point_of_every_study_runs(name, tmp_path, request):
    study = runs.load_study(name)
    inputs = {given: str(request.getfixturevalue("shared") / REAL[given]) for given in study.inputs}
    kind = study.experiment.split(":")[0]
    first = {
        "over": {key: values[:1] for key, values in study.over.items()},
        "points": study.points[:1],
        "fixed": {**study.fixed, **SMALL[kind]},
    }
    sweep = build_sweep(study.model_copy(update=first), inputs)
    result = runs.run_sweep(sweep, tmp_path, "test", workers=1)
    assert not result.failed, result.outcomes[0].error
    for one in study.tables.values():
        assert {*one.keys, *one.y, *one.also} <= set(runs.joined_table(result, one.table).columns)
    table = runs.joined_table(result, study.figure.table)
    wanted = [key for key in (study.figure.x, study.figure.lines, study.figure.panels) if key]
    assert {*wanted, *study.figure.y, *study.figure.beside} <= set(table.columns)
    for column in study.figure.y:
        assert np.isfinite(table.where(**study.figure.where)[column].astype(float)).any(), column


def fake_result(monkeypatch, rows):
    table = Table.from_rows("points", rows, tuple(rows[0]))
    monkeypatch.setattr(studies, "joined_table", lambda result, name: table)
    return SimpleNamespace()


ROWS = [
    {"policy": policy, "batch": batch, "layers": "all", "speed": speed * batch, "speed_ci95": 0.5, "fidelity": "analytic"}
    for policy, speed in (("a", 2.0), ("b", 3.0))
    for batch in (1, 8)
]


def test_relative_to_divides_by_the_row_with_the_same_keys(monkeypatch):
    result = fake_result(monkeypatch, ROWS)
    figure = StudyFigure(table="points", x="batch", y="speed", lines="policy", relative_to={"policy": "a"})
    table = studies.study_table(result, figure)
    assert table["speed_relative"].tolist() == [1, 1, 1.5, 1.5] and figure.drawn == ("speed_relative",)
    assert table["speed_relative_ci95"].tolist() == [0.25, 0.5 / 16, 0.25, 0.5 / 16]
    assert table["speed"].tolist() == [2, 16, 3, 24] and table["speed_ci95"].tolist() == [0.5] * 4
    with pytest.raises(ConfigError, match="no row with"):
        studies.study_table(result, figure.model_copy(update={"relative_to": {"policy": "c"}}))
    with pytest.raises(ConfigError, match="no row has"):
        studies.study_table(result, figure.model_copy(update={"where": {"layers": "measured"}}))


def test_a_figure_is_drawn_of_words_and_numbers(monkeypatch, tmp_path):
    result = fake_result(monkeypatch, ROWS)
    for x, lines, panels in (("batch", "policy", None), ("policy", "batch", None), ("batch", None, "policy")):
        figure = StudyFigure(table="points", x=x, y="speed", lines=lines, panels=panels, beside="speed")
        study_figure(studies.study_table(result, figure), figure, tmp_path / "one.png", title="a title")
        assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_a_serving_run_has_the_labels_of_all_its_parts(monkeypatch):
    """The throughput's own label is that of the least sure part."""
    parts = {"a": ["measured", "analytic", "measured"], "b": ["analytic"]}
    result = fake_result(monkeypatch, [{"policy": name, "speed": 1.0, "fidelity": "analytic"} for name in parts])
    result.outcomes = [SimpleNamespace(key=name) for name in parts]
    stored = {name: SimpleNamespace(tables={"fidelity": Table("fidelity", {"fidelity": labels})}) for name, labels in parts.items()}
    result.store = SimpleNamespace(get=stored.get)
    wanted = studies.StudyTable(table="throughput", keys=("policy",), y="speed")
    assert studies.study_table(result, wanted)["fidelity"].tolist() == ["measured + analytic", "analytic"]


def test_names_of_a_figure_are_words_for_columns_and_values(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("matplotlib.figure.Figure.legend", lambda self, handles, labels, **given: drawn.extend([*labels, given["ncols"]]))
    names = {"speed": "speed (tokens/s)", "batch": "{} requests", "form": "closed form " + 60 * "x"}
    figure = StudyFigure(table="points", x="policy", y=("speed", "twice"), lines="batch", beside="form", names=names)
    table = Table.from_rows("points", [{**row, "twice": 1.0, "form": 2.0} for row in ROWS], (*ROWS[0], "twice", "form"))
    study_figure(table, figure, tmp_path / "one.png")
    assert {"1 requests, speed (tokens/s)", "8 requests, twice", f"8 requests, {names['form']}"} <= set(drawn)
    assert drawn[-1] == 1  # such long entries stand one below the other
    with pytest.raises(ConfigError, match="keys"):
        StudyFigure(table="points", x="policy", y="speed", keys=("batch",))


def test_inputs_are_put_in_and_asked_for(tmp_path):
    figure = StudyFigure(table="points", x="batch", y="time")
    given = {"name": "s", "question": "?", "experiment": "step:quickstart", "figure": figure, "inputs": {"trace": "counts"}}
    study = runs.Study(**given, points=({"routing": {"path": "${trace}"}},), over={"routing.path": ("${trace}", "x")})
    sweep = build_sweep(study, {"trace": "file"})
    assert sweep.points == ({"routing": {"path": "file"}},) and sweep.over["routing.path"] == ("file", "x")
    with pytest.raises(ConfigError, match=r"needs --input trace=PATH \(counts\)"):
        runs.run_study(study, tmp_path / "store", "test")
    with pytest.raises(ConfigError, match=r"has no input 'trase'.*trace"):
        runs.run_study(study, tmp_path / "store", "test", inputs={"trase": "x"})
    with pytest.raises(ConfigError, match="no such file or folder"):
        runs.run_study(study, tmp_path / "store", "test", inputs={"trace": str(tmp_path / "none")})


def test_differences_name_line_and_column(tmp_path):
    def write(name, rows):
        with open(tmp_path / name, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        return tmp_path / name

    expected = write("b.csv", [["batch", "gain"], [1, 1.5], [2, 1.25]])
    assert not runs.differences(write("a.csv", [["batch", "gain"], [1, 1.5 * (1 + 1e-7)], [2, 1.25]]), expected)
    found = runs.differences(write("a.csv", [["batch", "gain"], [1, 1.51], [2, ""]]), expected)
    assert found == ["a.csv:2: gain is 1.51, expected 1.5", "a.csv:3: gain is , expected 1.25"]
    assert len(runs.differences(write("a.csv", [["batch", "gain"], [1, 1.5]]), expected)) == 1


def test_every_study_has_its_table_figure_and_paragraph(repository):
    text = (repository / "docs" / "studies" / "README.md").read_text(encoding="utf-8")
    for name in runs.study_names():
        assert f"figures/{name}.png" in text
        assert (repository / "docs" / "studies" / "figures" / f"{name}.png").is_file()
        with open(repository / "docs" / "studies" / "tables" / f"{name}.csv", newline="", encoding="utf-8") as file:
            columns = next(csv.reader(file))
        figure = runs.load_study(name).figure
        assert {figure.x, *figure.y, *figure.drawn, *figure.beside, *figure.also} <= set(columns), name
        for more in runs.load_study(name).tables:
            assert (repository / "docs" / "studies" / "tables" / f"{name}_{more}.csv").is_file()
        assert name in (repository / "docs" / "artifact.md").read_text(encoding="utf-8")
