"""Scheduling policies of outside packages: checked at one door, and their code is part of a result's key."""

from __future__ import annotations

import re
import zipfile

import numpy as np
import pytest
from test_schedule import observe

from moeram.errors import PolicyError
from moeram.experiment import load_serving, run_serving
from moeram.placement.code import module_sha256
from moeram.runs import read_sweep, run_key, run_sweep
from moeram.runs.key import outside_policies
from moeram.runs.points import points_of
from moeram.schedule import make_schedule, schedule_clashes, schedule_names

POLICIES = """
import sys
import numpy as np
from moeram.schedule import Plan

class Good:
    name = "good"
    def __init__(self, most=None): self.most = most
    def plan(self, seen): return Plan(on_memory=seen.tokens > (self.most or 0))
    def observe(self, tokens, memory_ps): pass

class Mask(Good):
    def plan(self, seen): return Plan(on_memory=self.mask(seen.tokens))

class NoPlan: pass
class NoObserve:
    def plan(self, seen): return Plan(on_memory=seen.tokens > 0)
class Nothing(Good):
    def plan(self, seen): return None
class Given(Good):
    def plan(self, seen): return seen
class Raises(Good):
    def plan(self, seen): return {}["first line\\nsecond line"]
class Leaves(Good):
    def plan(self, seen): sys.exit("bye")
class Empty(Good):
    class Bare(Plan):
        def __init__(self): pass
    def plan(self, seen): return self.Bare()
class Writes(Good):
    def plan(self, seen):
        seen.tokens[:] = 0
class WritesCosts(Good):
    def plan(self, seen):
        seen.costs.memory_ps[:] = 0
class Shape(Mask):
    def mask(self, tokens): return np.ones((1, 3), dtype=bool)
class OneRow(Mask):
    def mask(self, tokens): return np.ones((1, tokens.shape[1]), dtype=bool)
class Twos(Mask):
    def mask(self, tokens): return np.full_like(tokens, 2)
class Listed(Mask):
    def mask(self, tokens): return (tokens > 0).tolist()
class Negative(Good):
    def plan(self, seen): return Plan(on_memory=seen.tokens > 0, charged_ps=-1)
class NotANumber(Good):
    def plan(self, seen): return Plan(on_memory=seen.tokens > 0, charged_ps=float("nan"))
class Text(Good):
    def plan(self, seen): return Plan(on_memory=seen.tokens > 0, charged_ps="3")
class Attention(Good):
    def plan(self, seen): return Plan(on_memory=seen.tokens > 0, attention_on_memory="no")
class Deaf(Good):
    def observe(self, tokens, memory_ps): raise RuntimeError("deaf")
class Scribbles(Good):
    def observe(self, tokens, memory_ps): memory_ps[:] = 0
a_number = 7
"""
FAULTS = {
    "NoPlan": "cannot be made: a NoPlan has no method plan and no method observe",
    "NoObserve": "cannot be made: a NoObserve has no method observe",
    "Nothing": r"failed in plan: it returned a NoneType instead of a moeram.schedule.Plan",
    "Given": r"failed in plan: it returned a Observation instead of a moeram.schedule.Plan",
    "Raises": "failed in plan: KeyError",
    "Leaves": "failed in plan: SystemExit: bye",
    "Empty": "failed in plan: AttributeError: .*on_memory",
    "Writes": "failed in plan: ValueError: .*read-only",
    "WritesCosts": "failed in plan: ValueError: .*read-only",
    "Shape": r"failed in plan: on_memory has the shape \(1, 3\), allowed: \(2, 4\)",
    "OneRow": r"failed in plan: on_memory has the shape \(1, 4\), allowed: \(2, 4\)",
    "Twos": "failed in plan: on_memory is an array of int64, allowed: a numpy array of bool",
    "Listed": "failed in plan: on_memory is a list, allowed: a numpy array of bool",
    "Negative": "failed in plan: charged_ps is -1, allowed: a finite number of at least 0",
    "NotANumber": "failed in plan: charged_ps is nan, allowed",
    "Text": "failed in plan: charged_ps is '3', allowed",
    "Attention": "failed in plan: attention_on_memory is 'no', allowed",
    "Deaf": "failed in observe: RuntimeError: deaf",
    "Scribbles": "failed in observe: ValueError: .*read-only",
    "Missing": "cannot be loaded from 'scheduled:Missing': AttributeError",
    "a_number": "'scheduled:a_number' is no class",
}
SMALL = ["requests.count=2", "requests.output_tokens=2"]


@pytest.fixture
def install(install_package):
    def make(name, *classes, source=POLICIES):
        lines = "".join(f"{one.partition('=')[0]} = {name}:{one.rpartition('=')[2]}\n" for one in classes)
        return install_package(name, source, f"[moeram.schedule]\n{lines}")

    return make


def test_a_sound_one_decides(install):
    install("scheduled", "Good")
    assert schedule_names()[-1] == "Good"
    policy, seen = make_schedule("Good", {"most": 2}), observe([[0, 1, 2, 3], [4, 0, 5, 0]])
    assert policy.plan(seen).on_memory.tolist() == [[False, False, False, True], [True, False, True, False]]
    policy.observe(np.array([3]), np.array([3.0]))
    seen.tokens[0, 0] = 1  # what moeram holds stays its own to write


@pytest.mark.parametrize(("name", "cause"), FAULTS.items())
def test_nonsense_is_one_message_with_its_cause(install, name, cause):
    install("scheduled", name)
    with pytest.raises(PolicyError, match=f"^schedule '{name}' of package scheduled 1.5:? {cause}") as error:
        policy = make_schedule(name)
        policy.plan(observe([[0, 1, 2, 3], [4, 0, 5, 0]]))
        policy.observe(np.array([3]), np.array([3.0]))
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 500


def test_unknown_options_are_named(install):
    install("scheduled", "Good")
    with pytest.raises(PolicyError, match="'Good' of package scheduled 1.5 cannot be made with the options least: .*'least'"):
        make_schedule("Good", {"least": 1})


def test_a_name_of_moerams_own_is_left_out_and_said(install):
    install("taker", "sieve=Nothing")
    clash = "schedule 'sieve' of package taker 1.5 is left out: the name is one of moeram's own"
    assert schedule_clashes() == (clash,)
    assert clash in run_serving(load_serving("qwen3_sieve", ["requests.count=1", "requests.output_tokens=1"])).notes


def test_a_sweep_names_the_policy_and_not_moeram(install, tmp_path):
    install("scheduled", "Raises", "Nothing")
    result = run_sweep(read_sweep("qwen3_sieve", ["schedule.policy=Raises,Nothing"], SMALL), tmp_path / "out", "1", workers=1)
    assert [outcome.error.partition(" failed")[0] for outcome in result.outcomes] == [
        "schedule 'Raises' of package scheduled 1.5",
        "schedule 'Nothing' of package scheduled 1.5",
    ]


def test_a_sweep_computes_again_when_an_outside_policy_has_changed(install, tmp_path):
    """In processes of their own, as the command line does; a package beside it changes nothing."""
    file = install("changing", "mine=Good")
    sweep = read_sweep("qwen3_sieve", ["schedule.policy=mine,sieve"], SMALL)

    def run():
        result = run_sweep(sweep, tmp_path / "out", "1", workers=2)
        assert result.failed == 0 and result.notes == ()
        return [outcome.found for outcome in result.outcomes], result.table("throughput")["tokens_per_s"].tolist()

    assert run()[0] == [False, False]
    found, before = run()
    assert found == [True, True]
    file.write_text(POLICIES.replace("self.most or 0", "self.most or 10**6"))
    found, after = run()
    assert found == [False, True] and after[0] != before[0] and after[1] == before[1]
    (file.parent / "changing-1.5.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: changing\nVersion: 1.6\n")
    assert run()[0] == [False, True]


def test_code_that_changes_while_a_process_runs_is_not_trusted(install, tmp_path):
    file = install("unsettled", "mine=Good")
    sweep = read_sweep("qwen3_sieve", ["schedule.policy=mine"], SMALL)
    assert [run_sweep(sweep, tmp_path / "out", "1", workers=1).found for _ in range(2)] == [0, 1]
    file.write_text(POLICIES + "# later\n")
    for _ in range(2):
        result = run_sweep(sweep, tmp_path / "out", "1", workers=1)
        assert result.found == 0 and result.failed == 0
        assert result.notes == (
            "computed anew: the code of 'mine' of package unsettled 1.5 cannot be read, or has changed in this process",
        )


def test_placements_count_too(install_package):
    source = "from moeram.placement import POLICIES\ndef mine(given): return POLICIES['static_hot'](given)\n"
    install_package("placing", source, "[moeram.placement]\nmine = placing:mine\n")
    plain, mine = (points_of(read_sweep("quickstart", [f"placements={names}"]))[0].load() for names in ("[static_hot]", "[mine]"))
    assert outside_policies(plain) == []
    (one,) = outside_policies(mine)
    assert (one["policy"], one["package"], len(one["code_sha256"])) == ("mine", "package placing 1.5", 64)
    assert run_key(mine, "1") != run_key(plain, "1")


def test_all_code_of_a_package_counts_and_its_place_does_not(tmp_path, monkeypatch):
    def hashed(place, name, content):
        folder = tmp_path / place / "packed"
        (folder / "inner").mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "inner" / name).write_text(content)
        with monkeypatch.context() as here:
            here.syspath_prepend(str(tmp_path / place))
            return module_sha256("packed.inner")

    assert hashed("a", "one.py", "x = 1") == hashed("b", "one.py", "x = 1")
    assert len({hashed("c", "one.py", "x = 2"), hashed("d", "two.py", "x = 1"), hashed("e", "one.py", "x = 1")}) == 3


def test_what_is_not_in_files_has_no_hash(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as archive:
        archive.writestr("zipped_policy.py", "x = 1")
    monkeypatch.syspath_prepend(str(tmp_path / "zipped.zip"))
    assert [module_sha256(name) for name in ("zipped_policy", "no_such_module_anywhere", "sys")] == [None] * 3


def test_the_example_of_the_docs_runs(repository, install_package):
    text = (repository / "docs" / "schedule.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (project,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    group, entry = re.fullmatch(r'\[project\.entry-points\."(.*)"\]\n(.*)\n', project).groups()
    install_package("my_package", source, f"[{group}]\n{entry.replace(chr(34), '')}\n")
    found = make_schedule("few_tokens", {"most": 8}).plan(observe([[0, 8, 9]]))
    assert found.on_memory.tolist() == [[False, True, False]]
    record = run_serving(load_serving("qwen3_sieve", [*SMALL, "schedule.policy=few_tokens", "schedule.options={most: 8}"]))
    assert record["throughput"]["tokens_per_s"][0] > 0
