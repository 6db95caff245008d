"""The house rules that a machine can watch: who imports whom, sizes, and what the project may not speak of."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "python" / "moeram"
ENGINE = REPOSITORY / "cpp" / "moeram"

PYTHON_ROOMS = (
    "errors", "files", "units", "options", "model", "routing", "hardware", "pim", "placement", "schedule", "serving", "metrics", "report",
    "experiment", "runs", "export", "repro", "check", "cli", "__main__",
)  # fmt: skip
# Rooms with the same number may not see each other.
CPP_ROOMS = {
    "base": 0, "pricing": 1, "dram": 1, "mapping": 2, "controller": 3, "plugin": 4, "mono3d": 4, "pim": 4, "frontend": 5, "system": 6,
}  # fmt: skip
CORE_DOORS = {"hardware/cycle.py"}


def python_files():
    return sorted(PACKAGE.rglob("*.py"))


def cpp_files():
    return sorted(path for path in (REPOSITORY / "cpp").rglob("*") if path.suffix in (".cpp", ".h"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "moeram" else [node.module]
            )
        for name in names:
            parts = name.split(".")
            if parts[0] == "moeram" and len(parts) > 1:
                yield parts[1]


@pytest.mark.parametrize("path", python_files(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_python_imports_go_one_way(path):
    room = room_of(path)
    if room == "__init__":
        return
    for imported in imported_rooms(path):
        if imported == "_core":
            assert path.relative_to(PACKAGE).as_posix() in CORE_DOORS
        elif imported in PYTHON_ROOMS:
            assert PYTHON_ROOMS.index(imported) <= PYTHON_ROOMS.index(room), f"{room} imports {imported}"


def test_every_python_room_is_in_the_plan():
    rooms = {room_of(path) for path in python_files()} - {"__init__"}
    assert rooms <= set(PYTHON_ROOMS)
    assert {path.name for path in ENGINE.iterdir()} == set(CPP_ROOMS)


@pytest.mark.parametrize("path", cpp_files(), ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_cpp_includes_go_one_way(path):
    text = path.read_text(encoding="utf-8")
    if path.is_relative_to(ENGINE):
        room = path.relative_to(ENGINE).parts[0]
        for included in re.findall(r'#include "moeram/(\w+)/', text):
            lower = CPP_ROOMS[included] < CPP_ROOMS[room]
            assert included == room or lower, f"{room} includes {included}"
    if not path.is_relative_to(REPOSITORY / "cpp" / "bind"):
        assert "pybind11" not in text


def test_device_and_controller_know_no_design():
    """Mono3D and PIM come in through doors that exist for everyone."""
    for room in ("dram", "controller"):
        for path in (ENGINE / room).rglob("*"):
            if path.is_file():
                assert not re.search(
                    r"mono3d|\bpim\b|\bnmp\b|stratum", path.read_text(encoding="utf-8"), re.IGNORECASE
                ), path


def test_no_standard_is_named_in_the_device():
    names = {path.name.split("@")[0] for path in (REPOSITORY / "configs" / "standards").glob("*.yaml")}
    for path in (ENGINE / "dram").glob("*.cpp"):
        if path.name == "standard_names.cpp":  # the table of other names
            continue
        code = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
        assert not any(f'"{name}' in code for name in names), path


@pytest.mark.parametrize(
    "path", [*python_files(), *cpp_files()], ids=lambda path: path.relative_to(REPOSITORY).as_posix()
)
def test_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_python_functions_fit_on_a_screen():
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"


def project_files():
    folders = ("cpp", "python", "configs", "docs", "examples", "benchmarks", "third_party", ".ci")
    top = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CMakeLists.txt", "pyproject.toml")
    files = [REPOSITORY / name for name in top]
    for folder in folders:
        files += [path for path in (REPOSITORY / folder).rglob("*") if path.is_file()]
    made = {"__pycache__", ".ruff_cache", "out"}
    return [path for path in files if path.suffix != ".png" and not made.intersection(path.parts)]


def test_the_project_speaks_of_itself_alone():
    """No path of a machine, no registry's host, no unpickling, nothing of where its data lay."""
    forbidden = re.compile(
        r"\.\./shared|/work/|/home/|/root/|/tmp/|pypi\.org|files\.pythonhosted|pickle\.load|torch\.load"
    )
    for path in project_files():
        found = forbidden.search(path.read_text(encoding="utf-8"))
        assert not found, f"{path}: {found.group(0)}"


def test_the_library_neither_prints_nor_exits():
    for path in python_files():
        if room_of(path) == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "exit", "quit"), path
    for path in ENGINE.rglob("*.cpp"):
        assert not re.search(r"std::cout|std::cerr|\bexit\(|\babort\(", path.read_text(encoding="utf-8")), path


def test_versions_agree():
    from moeram.hardware.cycle import load_core

    version = re.search(r'^version = "(.+)"', (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE).group(1)
    assert f"VERSION {version} " in (REPOSITORY / "CMakeLists.txt").read_text()
    assert load_core().__version__ == version
