"""YAML 1.2 scalars, origins of values, and complaints that come all at once with file, line, key and nearest name."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from moeram.errors import ConfigError
from moeram.options import (
    Options,
    build,
    config_names,
    config_path,
    dump_yaml,
    load_config,
    load_yaml,
    override,
    parse_yaml,
)
from moeram.units import Ns


class Inner(Options):
    count: int = Field(ge=1)
    delay_ns: Ns = 1.0
    kind: Literal["slow", "fast"] = "slow"


class Outer(Options):
    inner: Inner
    list_of_inner: tuple[Inner, ...] = ()
    numbers: tuple[int, ...] = ()
    share: float = 0.5
    on: bool = True
    word: str = "w"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e9", 10**9),
        ("1.5e-3", 0.0015),
        ("1E+3", 1000),
        ("12e03", 12000),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("1:30", "1:30"),
        ("0x10", 16),
        ("0o17", 15),
        ("012", 12),
        ("1_000", "1_000"),
        ("'12'", "12"),
        ("2024-01-01", "2024-01-01"),
        ("-.5", -0.5),
        ("=", "="),
        (".inf", float("inf")),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    found = parse_yaml(f"key: {text}", "f.yaml").value["key"]
    assert found == value and type(found) is type(value)


def test_all_complaints_at_once_with_file_line_and_key():
    text = """inner:
  count: 0
  delay_ns: 3 GB/s
  kind: fats
  cuont: 1
list_of_inner:
  - {count: 1, kin: slow}
numbers: [1, a]
share: true
on: 1
word: 3
extra: 1
"""
    with pytest.raises(ConfigError) as error:
        build(Outer, parse_yaml(text, "f.yaml"))
    lines = str(error.value).splitlines()
    assert "f.yaml:2: inner.count: given 0, allowed: at least 1" in lines
    assert any(line.startswith("f.yaml:3: inner.delay_ns: given '3 GB/s': 'GB/s' is a bandwidth") for line in lines)
    assert "f.yaml:4: inner.kind: given 'fats'; did you mean 'fast'?" in lines
    assert "f.yaml:5: inner.cuont: unknown key; did you mean 'count'?" in lines
    assert "f.yaml:7: list_of_inner[0].kin: unknown key; did you mean 'kind'?" in lines
    assert "f.yaml:8: numbers[1]: given 'a', allowed: a whole number" in lines
    assert "f.yaml:9: share: given True, allowed: a number" in lines
    assert "f.yaml:10: on: given 1, allowed: true or false" in lines
    assert "f.yaml:11: word: given 3, allowed: text" in lines
    assert any(line.startswith("f.yaml:12: extra: unknown key") for line in lines)
    assert len(lines) == 10


def test_missing_key_names_the_block():
    with pytest.raises(ConfigError, match=r"f.yaml:2: inner.count: missing"):
        build(Outer, parse_yaml("word: w\ninner: {kind: slow}", "f.yaml"))


def test_infinity_is_refused():
    with pytest.raises(ConfigError, match="share: given inf, allowed: a finite number"):
        build(Outer, parse_yaml("inner: {count: 1}\nshare: .inf", "f.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "f.yaml:2: a: given twice, first at f.yaml:1"),
        ("a: [1\nb: 2", "f.yaml:2: not valid YAML"),
        ("a: !!python/object/apply:os.system [ls]", "f.yaml:1: a: tag .* is not allowed"),
        ("b: 1\na: &x [*x]", "f.yaml:2: an alias inside its own anchor"),
        ("? [a]\n: 3", "f.yaml:1: top level: a key must be a word"),
        ("a: 1\n---\nb: 2", "f.yaml:2: not valid YAML"),
        ("a: *nothing", "f.yaml:1: not valid YAML"),
        ("[" * 5000, "f.yaml: not valid YAML: nested too deeply"),
    ],
)
def test_malformed_files(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_yaml(text, "f.yaml")


def test_aliases_do_not_multiply_without_end():
    bomb = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
    with pytest.raises(ConfigError, match="more than 1000000 values"):
        parse_yaml(bomb, "f.yaml")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load_yaml(tmp_path / "missing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary.yaml: cannot be read"):
        load_yaml(tmp_path / "binary.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_yaml(tmp_path)


def test_override_replaces_and_names_itself():
    tree = parse_yaml("inner: {count: 1}\nword: w", "f.yaml")
    assert build(Outer, override(tree, "inner.count=7")).inner.count == 7
    assert build(Outer, override(tree, "numbers=[1, 1e3]")).numbers == (1, 1000)
    assert build(Outer, override(tree, "inner={kind: fast}")).inner == Inner(count=1, kind="fast")
    assert tree.value == {"inner": {"count": 1}, "word": "w"}
    with pytest.raises(ConfigError, match=r"^-p inner.count: given 0, allowed: at least 1$"):
        build(Outer, override(tree, "inner.count=0"))
    with pytest.raises(ConfigError, match=r"^-p inner.coutn: unknown key; did you mean 'count'"):
        build(Outer, override(tree, "inner.coutn=0"))
    with pytest.raises(ConfigError, match=r"-p inner.count: not valid YAML"):
        override(tree, "inner.count=[1")
    for text in ("word", "=3", "a..b=3"):
        with pytest.raises(ConfigError, match="KEY=VALUE"):
            override(tree, text)


def test_config_by_name_and_by_path(tmp_path):
    assert "stratum_s" in config_names("hardware")
    assert config_path("hardware", "stratum_s").name == "stratum_s.yaml"
    (tmp_path / "mine.yaml").write_text("a: 1")
    assert config_path("hardware", tmp_path / "mine.yaml") == tmp_path / "mine.yaml"
    with pytest.raises(ConfigError, match="did you mean 'stratum_xl'"):
        config_path("hardware", "stratum_xll")
    with pytest.raises(ConfigError, match=r"nowhere.yaml: no such file"):
        config_path("hardware", "nowhere.yaml")


def test_extends_lays_one_config_over_another(tmp_path):
    (tmp_path / "base.yaml").write_text("inner: {count: 1, kind: fast}\nnumbers: [1, 2]\n")
    (tmp_path / "mine.yaml").write_text(f"extends: {tmp_path}/base.yaml\n\ninner: {{count: x}}\nnumbers: [3]\n")
    tree = load_config("hardware", tmp_path / "mine.yaml")
    assert tree.value == {"inner": {"count": "x", "kind": "fast"}, "numbers": [3]}
    with pytest.raises(ConfigError, match=r"mine.yaml:3: inner.count: given 'x'"):
        build(Outer, tree)
    (tmp_path / "circle.yaml").write_text(f"extends: {tmp_path}/circle.yaml\n")
    with pytest.raises(ConfigError, match="in a circle"):
        load_config("hardware", tmp_path / "circle.yaml")
    (tmp_path / "lost.yaml").write_text("\nextends: stratum_m\n")
    with pytest.raises(ConfigError, match=r"lost.yaml:2: extends: .*did you mean 'stratum_s"):
        load_config("hardware", tmp_path / "lost.yaml")


scalars = st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8)
awkward = st.sampled_from(
    ["1e9", "no", "true", "~", "", "0x1", "012", "1:2", ".5", "- a", "a: b", "#", "'", "!x", "&a"]
)
values = st.recursive(
    scalars | texts | awkward,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(texts, values, max_size=4))
def test_what_is_dumped_is_read_back_equal(value):
    assert parse_yaml(dump_yaml(value), "f.yaml").value == value
