"""Assumptions as objects: complete, within their ranges, equal to what shipped configs hold, and hashed."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
import yaml
from typer.testing import CliRunner

from moeram.cli.main import app
from moeram.errors import ConfigError
from moeram.repro.assumptions import SHEETS, Assumptions, configured, load_assumptions, shipped_value

PAPERS = ("stratum", "sieve")


@pytest.mark.parametrize("paper", PAPERS)
def test_every_number_of_the_sheet_is_there(paper, shared):
    sheet = (shared / "spec" / "papers" / f"{paper}.md").read_text(encoding="utf-8")
    numbers = set(re.findall(r"^\| ([UX]\d+) \|", sheet, re.MULTILINE))
    assert numbers and numbers == set(SHEETS[paper])
    assert numbers <= {entry.id for entry in load_assumptions(paper).assumptions}


@pytest.mark.parametrize("paper", PAPERS)
def test_nominal_values_are_what_shipped_configs_resolve_to(paper):
    checked = 0
    for name, one in load_assumptions(paper).parameters.items():
        for config in one.configs:
            assert shipped_value(config, one.key) == one.nominal, f"{name}: {config} {one.key}"
            checked += 1
    assert checked > 15


@pytest.mark.parametrize("paper", PAPERS)
def test_every_entry_gives_a_reason_and_every_parameter_that_varies_a_range(paper):
    for entry in load_assumptions(paper).assumptions:
        assert entry.reason
        for one in entry.parameters.values():
            assert one.allows(one.nominal)


@pytest.mark.parametrize("paper", PAPERS)
def test_the_hash_is_of_the_content(paper, repository, tmp_path):
    path = repository / "configs" / "assumptions" / f"{paper}.yaml"
    loaded = load_assumptions(paper)
    text = json.dumps(loaded.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    assert loaded.hash == hashlib.sha256(text.encode()).hexdigest()
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    shuffled = tmp_path / "shuffled.yaml"  # keys in another order, comments gone
    shuffled.write_text(yaml.safe_dump(tree, sort_keys=True, width=60), encoding="utf-8")
    assert load_assumptions(shuffled).hash == loaded.hash
    first = next(one for entry in tree["assumptions"] for one in entry.get("parameters", {}).values() if "range" in one)
    first["nominal"] = first["range"][0] if first["nominal"] != first["range"][0] else first["range"][1]
    changed = tmp_path / "changed.yaml"
    changed.write_text(yaml.safe_dump(tree), encoding="utf-8")
    assert load_assumptions(changed).hash != loaded.hash


def test_a_missing_number_is_refused(repository, tmp_path):
    tree = yaml.safe_load((repository / "configs" / "assumptions" / "sieve.yaml").read_text(encoding="utf-8"))
    tree["assumptions"] = [entry for entry in tree["assumptions"] if entry["id"] != "X7"]
    path = tmp_path / "sieve.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    with pytest.raises(ConfigError, match="X7"):
        load_assumptions(path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"nominal": 3.0}, "outside"),
        ({"range": [2, 1]}, "least"),
        ({"choices": [1, 2]}, "both"),
        ({"key": "a.b"}, "go together"),
    ],
)
def test_contradictions_are_refused(change, message):
    one = {"nominal": 1.0, "range": [0.0, 2.0]} | change
    with pytest.raises(ConfigError, match=message):
        Assumptions(paper="own", assumptions=[{"id": "A1", "title": "t", "reason": "r", "parameters": {"p": one}}])


def test_values_are_held_to_their_ranges():
    stratum = load_assumptions("stratum")
    assert stratum.values({"mode_switch_ns": 200})["mode_switch_ns"] == 200
    with pytest.raises(ConfigError, match="mode_switch_ns"):
        stratum.values({"mode_switch": 200})
    with pytest.raises(ConfigError, match="0 to 500"):
        stratum.values({"mode_switch_ns": 501})
    with pytest.raises(ConfigError, match="allowed: True, False"):
        load_assumptions("sieve").values({"interleaved": 1})


def test_assumptions_reach_the_configs():
    stratum = load_assumptions("stratum")
    values = stratum.values({"mode_switch_ns": 200, "link_efficiency": 0.85, "launch_floor_us": 2.5})
    system = configured("hardware/stratum_l", stratum, values)
    assert (system.link.mode_switch_ns, system.chips) == (200, 6)
    assert configured("systems/stratum_l", stratum, values).near_memory.link_efficiency == 0.85
    assert configured("gpus/h100_sxm", stratum, values).launch_floor_us == 2.5
    sieve = load_assumptions("sieve")
    values = sieve.values({"layout": "output_split", "moving_average": 0.5})
    assert configured("memories/hbm3e_pim", sieve, values).layout == "output_split"
    assert configured("schedule/sieve", sieve, values).moving_average == 0.5
    with pytest.raises(ConfigError, match="kind 'memory'"):
        configured("memory/hbm3e_pim", sieve, values)


def test_list_prints_hash_and_every_number():
    result = CliRunner().invoke(app, ["assumptions", "list", "sieve", "--reasons"])
    assert result.exit_code == 0, result.output
    assert load_assumptions("sieve").hash in result.output
    assert all(f" {number} " in result.output for number in SHEETS["sieve"])
    assert CliRunner().invoke(app, ["assumptions", "list", "siev"]).exit_code == 2
