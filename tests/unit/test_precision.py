"""Storage counted by hand, and by a second count over the blocks of a matrix."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moeram.errors import ConfigError
from moeram.model import Precision, load_model, parse_format, parse_precision, with_formats


@pytest.mark.parametrize(
    ("name", "rows", "columns", "expected"),
    [
        ("bf16", 3, 5, 30),
        ("fp32", 3, 5, 60),
        ("fp8", 3, 5, 15),
        ("fp8-128x128", 256, 384, 256 * 384 + 2 * 3 * 4),
        ("fp8-128x128", 257, 385, 257 * 385 + 3 * 4 * 4),  # partial blocks have whole scales
        ("fp8-128x128", 1, 1, 1 + 4),
        ("fp8-channel", 7, 100, 700 + 7 * 4),
        ("fp8-tensor", 7, 100, 700 + 4),
        ("mxfp4", 2880, 2880, 2880 * 2880 * 17 // 32),  # 4.25 bits
        ("mxfp4", 1, 33, 17 + 2),
        ("int4", 3, 3, 5),  # 36 bits
        ("int4-g128", 10, 256, 1280 + 10 * 2 * 2),
        ("int4-g128-zp", 10, 256, 1280 + 10 * 2 * 2 + 10),  # 20 zero points of 4 bits
        ("int4-g128-zp", 1, 129, 65 + 2 * 2 + 1),
        ("int3-g64", 4, 64, 96 + 4 * 2),
        ("int2-g32-zp", 2, 64, 32 + 4 * 2 + 1),
        ("int8-channel", 5, 12, 60 + 5 * 2),
        ("int8-tensor-zp", 5, 12, 60 + 2 + 1),
    ],
)
def test_bytes_by_hand(name, rows, columns, expected):
    assert parse_format(name).bytes(rows, columns) == expected
    assert parse_format(name).name == name


@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 40), st.integers(1, 40))
def test_blocks_counted_one_by_one(rows, columns, block_rows, block_columns):
    stored = parse_format(f"fp8-{block_rows}x{block_columns}")
    blocks = {(row // block_rows, column // block_columns) for row in range(rows) for column in range(columns)}
    assert stored.bytes(rows, columns) == rows * columns + 4 * len(blocks)


@given(st.integers(2, 8), st.integers(1, 300), st.integers(1, 50), st.integers(1, 500), st.booleans())
def test_groups_run_along_the_inputs(bits, group, rows, columns, zero_points):
    stored = parse_format(f"int{bits}-g{group}{'-zp' if zero_points else ''}")
    groups = rows * math.ceil(columns / group)
    expected = math.ceil(rows * columns * bits / 8) + 2 * groups + (math.ceil(groups * bits / 8) if zero_points else 0)
    assert stored.bytes(rows, columns) == expected


@pytest.mark.parametrize("name", ["fp7", "int9", "int1", "int4-g0", "int4-g128zp", "fp8-0x128", "bf16-g32", "", "INT4"])
def test_unknown_formats_are_refused(name):
    with pytest.raises(ConfigError, match="no number format"):
        parse_format(name)


def test_a_typing_error_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'mxfp4'"):
        parse_format("mxpf4")
    with pytest.raises(ConfigError, match="did you mean 'experts'"):
        parse_precision("expert=fp8", Precision())


def test_parts_of_a_user():
    bare = parse_precision("fp8-128x128", Precision())
    assert {bare.experts.name, bare.shared.name, bare.attention.name, bare.dense.name} == {"fp8-128x128"}
    assert {bare.router.name, bare.embedding.name, bare.other.name, bare.kv_cache.name} == {"bf16"}
    mixed = parse_precision("experts=mxfp4, int8 ,kv_cache=fp8", Precision())
    assert (mixed.experts.name, mixed.shared.name, mixed.kv_cache.name) == ("mxfp4", "int8", "fp8")
    with pytest.raises(ConfigError, match="weights is given twice"):
        parse_precision("fp8,bf16", Precision())


def test_formats_that_a_part_cannot_have():
    with pytest.raises(ConfigError, match="kv_cache.*one by one"):
        with_formats(Precision(), {"kv_cache": "fp8-128x128"})
    with pytest.raises(ConfigError, match="kv_cache.*one by one"):
        with_formats(Precision(), {"kv_cache": "fp8-tensor"})
    with pytest.raises(ConfigError, match="activations"):
        with_formats(Precision(), {"activations": "int4"})


def test_a_model_in_other_formats():
    """Mixtral by hand: experts of 2 x [14336, 4096] and [4096, 14336]; 8 KV heads of 128, 32 layers."""
    model = load_model("mixtral-8x7b")
    int4 = replace(model, precision=parse_precision("experts=int4-g128-zp,kv_cache=int8-channel", model.precision))
    weights = 3 * 14336 * 4096
    assert int4.expert_bytes == weights // 2 + weights // 128 * 2 + weights // 128 // 2
    assert int4.kv_bytes_per_token == 32 * 16 * (128 + 2)
    assert int4.non_expert_bytes == model.non_expert_bytes
    assert int4.parameters == model.parameters
    assert model.weight_bytes == 2 * model.parameters
    assert model.weight_bytes - int4.weight_bytes == 32 * 8 * (2 * weights - int4.expert_bytes)
    assert (model.bytes_per_weight, int4.bytes_per_weight, int4.bytes_per_activation) == (2, 1, 2)


def test_deepseek_v3_scales_by_hand():
    """Blocks of 128 x 128: gate and up 16 x 56, down 56 x 16, four bytes each; the router stays bf16."""
    model = load_model("deepseek-v3")
    assert model.expert_bytes == 3 * 7168 * 2048 + 3 * 16 * 56 * 4
    kv_down = next(matrix for matrix in model.matrices if matrix.name == "KV down")
    assert model.matrix_bytes(kv_down) == 576 * 7168 + 5 * 56 * 4  # 576 rows are four and a half blocks
    router = next(matrix for matrix in model.matrices if matrix.name == "router")
    assert model.matrix_bytes(router) == 2 * 256 * 7168


def test_totals_are_sums_of_parts():
    for name in ("deepseek-v3", "gpt-oss-20b", "qwen3.5-397b-a17b", "qwen2.5-32b"):
        model = load_model(name)
        assert model.weight_bytes == model.experts_total_bytes + model.non_expert_bytes
        assert model.weight_bytes == sum(matrix.count * model.matrix_bytes(matrix) for matrix in model.matrices)
