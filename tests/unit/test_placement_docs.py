"""The example of docs/placement.md runs as printed, as an outside package."""

from __future__ import annotations

import re

import numpy as np
import pytest

from moeram.placement import PART_POLICIES, POLICIES, PartBudget, PartInput, place_on_parts


@pytest.fixture
def text(repository):
    return (repository / "docs" / "placement.md").read_text(encoding="utf-8")


def test_the_example_of_a_new_policy(text, install_package):
    (source,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (project,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    group, entry = re.fullmatch(r'\[project\.entry-points\."(.*)"\]\n(.*)\n', project).groups()
    install_package("my_package", source, f"[{group}]\n{entry.replace(chr(34), '')}\n")
    given = PartInput(usage=np.array([[5.0, 9, 1, 7, 3, 2]]), budget=PartBudget(layers=1, experts=6, parts=2, slots=3))
    plan = place_on_parts("snake", given)
    assert plan.expert.tolist() == [[[1, 4, 5], [3, 0, 2]]]  # 9 | 7, then 5 | 3 back, then 2 | 1 forth


def test_every_policy_is_documented(text):
    for name in (*POLICIES, *PART_POLICIES):
        assert f"| `{name}` |" in text or f"`{name}`" in text, name
