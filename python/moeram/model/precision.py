"""How the numbers of a model are stored: values, block or group scales, zero points; counted to the byte."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from moeram.errors import ConfigError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Format:
    """Storage of a matrix: values of some bits and, for each block of the matrix, one scale and one zero point.

    Args:
        name: The format as written in configs, see `parse_format`.
        bits: Bits of one value.
        block_rows, block_columns: Elements of a block along the outputs (rows) and inputs (columns) of the matrix;
            0 means all of them. Only of meaning with a scale.
        scale_bits, zero_point_bits: Bits of one block's scale and zero point; 0 if there is none.
    """

    name: str
    bits: int
    block_rows: int = 0
    block_columns: int = 0
    scale_bits: int = 0
    zero_point_bits: int = 0

    def blocks(self, rows: int, columns: int) -> int:
        """Blocks of a matrix: ceil(rows / block_rows) x ceil(columns / block_columns); a partial block counts whole."""
        return -(-rows // (self.block_rows or rows)) * -(-columns // (self.block_columns or columns))

    def value_bytes(self, rows: int, columns: int) -> int:
        """Bytes of a matrix's values: ceil(rows x columns x bits / 8); partial blocks are not padded."""
        return -(-rows * columns * self.bits // 8)

    def scale_bytes(self, rows: int, columns: int) -> int:
        """Bytes of scales and zero points: ceil(blocks x scale_bits / 8) + ceil(blocks x zero_point_bits / 8)."""
        blocks = self.blocks(rows, columns)
        return -(-blocks * self.scale_bits // 8) + -(-blocks * self.zero_point_bits // 8)

    def bytes(self, rows: int, columns: int) -> int:
        """Bytes of one matrix [rows, columns] with its scales and zero points, each of the three rounded up."""
        return self.value_bytes(rows, columns) + self.scale_bytes(rows, columns)

    @property
    def whole_bytes(self) -> bool:
        """Whether a value takes whole bytes and nothing is stored beside the values."""
        return self.bits % 8 == 0 and not self.scale_bits


_PLAIN = {
    "fp32": Format(name="fp32", bits=32),
    "bf16": Format(name="bf16", bits=16),
    "fp16": Format(name="fp16", bits=16),
    "fp8": Format(name="fp8", bits=8),
    # OCP Microscaling formats 1.0: 32 values of 4 bits along the inputs share one 8-bit exponent.
    "mxfp4": Format(name="mxfp4", bits=4, block_rows=1, block_columns=32, scale_bits=8),
}
_WIDTHS = {"channel": (1, 0), "tensor": (0, 0)}
_FP8 = re.compile(r"fp8-(?:([1-9]\d{0,5})x([1-9]\d{0,5})|(channel|tensor))")
_INTEGER = re.compile(r"int([2-8])(?:-(?:g([1-9]\d{0,5})|(channel|tensor))(-zp)?)?")
_GRAMMAR = (*_PLAIN, "fp8-128x128", "fp8-channel", "fp8-tensor", "int8", "int4-g128", "int4-g128-zp", "int8-channel")


def parse_format(text: str) -> Format:
    """Return the format called `text`.

    - ``fp32``, ``bf16``, ``fp16``, ``fp8``: values only.
    - ``fp8-128x128`` (any block), ``fp8-channel``, ``fp8-tensor``: FP8 with one FP32 scale per block, output or matrix
      (DeepSeek-V3's ``weight_scale_inv``: 128 x 128 blocks, FP32).
    - ``mxfp4``: 4-bit values, an 8-bit scale per 32 values along the inputs: 4.25 bits a weight.
    - ``int2`` ... ``int8``: values only; ``int4-g128``: an FP16 scale per 128 values along the inputs; ``int4-channel``,
      ``int4-tensor``; with ``-zp`` a zero point as wide as a value beside each scale (GPTQ, AWQ): 4.15625 bits.

    Raises:
        ConfigError: No such format.
    """
    if text in _PLAIN:
        return _PLAIN[text]
    if match := _FP8.fullmatch(text):
        rows, columns, width = match.groups()
        block = _WIDTHS[width] if width else (int(rows), int(columns))
        return Format(name=text, bits=8, block_rows=block[0], block_columns=block[1], scale_bits=32)
    if match := _INTEGER.fullmatch(text):
        bits, group, width, zero_point = match.groups()
        if not (group or width):
            return Format(name=text, bits=int(bits))
        block = _WIDTHS[width] if width else (1, int(group))
        return Format(
            name=text,
            bits=int(bits),
            block_rows=block[0],
            block_columns=block[1],
            scale_bits=16,
            zero_point_bits=int(bits) if zero_point else 0,
        )
    raise ConfigError(
        f"no number format {text!r}{did_you_mean(text, _GRAMMAR)} "
        "(also fp8-ROWSxCOLUMNS, int2 to int8, and for those -gGROUP, -channel or -tensor, each with -zp)"
    )


_BF16, _FP32 = _PLAIN["bf16"], _PLAIN["fp32"]


@dataclass(frozen=True, kw_only=True)
class Precision:
    """The format of every part of a model.

    experts: routed experts. shared: shared experts. attention: all projections of attention. dense: the FFN of layers
    without experts. router. embedding: embedding and output head. other: norms and convolutions. kv_cache: keys and
    values, or MLA's latents. state: recurrent state of linear attention. activations: what moves between units.

    Raises:
        ConfigError: Scales of the KV cache or the state shared by several rows (a row is a token's vector), scales
            with activations or values of theirs that are no whole bytes.
    """

    experts: Format = _BF16
    shared: Format = _BF16
    attention: Format = _BF16
    dense: Format = _BF16
    router: Format = _BF16
    embedding: Format = _BF16
    other: Format = _BF16
    kv_cache: Format = _BF16
    state: Format = _FP32
    activations: Format = _BF16

    def __post_init__(self) -> None:
        for part in ("kv_cache", "state"):
            given: Format = getattr(self, part)
            if given.scale_bits and given.block_rows != 1:
                raise ConfigError(
                    f"precision: {part}: given {given.name!r}, but its vectors are written one by one; "
                    "allowed: values alone, -channel, or groups such as int4-g32 and mxfp4"
                )
        if not self.activations.whole_bytes:
            raise ConfigError(
                f"precision: activations: given {self.activations.name!r}, allowed: fp32, bf16, fp16, fp8 or int8"
            )


PARTS = tuple(part.name for part in fields(Precision))
# What "weights" stands for: the large matrices that quantised checkpoints convert.
WEIGHTS = ("experts", "shared", "attention", "dense")


def with_formats(base: Precision, formats: Mapping[str, str]) -> Precision:
    """Return `base` with the named parts in other formats; the part ``weights`` stands for the four of `WEIGHTS`.

    A part that is named itself wins over ``weights``.

    Raises:
        ConfigError: An unknown part or format.
    """
    unknown = [part for part in formats if part not in (*PARTS, "weights")]
    if unknown:
        raise ConfigError(f"precision: no part {unknown[0]!r}{did_you_mean(unknown[0], (*PARTS, 'weights'))}")
    change = dict.fromkeys(WEIGHTS, parse_format(formats["weights"])) if "weights" in formats else {}
    change |= {part: parse_format(text) for part, text in formats.items() if part != "weights"}
    return replace(base, **change)


def parse_precision(text: str, base: Precision) -> Precision:
    """Return `base` changed as a user wrote it: ``fp8`` (all large weights) or ``experts=mxfp4,kv_cache=fp8``.

    Raises:
        ConfigError: An unknown part or format, or a part given twice.
    """
    formats: dict[str, str] = {}
    for item in text.split(","):
        part, equals, name = item.strip().partition("=")
        if not equals:
            part, name = "weights", part
        if part in formats:
            raise ConfigError(f"precision: {part} is given twice in {text!r}")
        formats[part.strip()] = name.strip()
    return with_formats(base, formats)
