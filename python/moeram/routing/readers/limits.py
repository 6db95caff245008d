"""How much of a file may lie in memory in one piece, so that a small packed file cannot fill it."""

from __future__ import annotations

from typing import IO

from moeram.errors import ConfigError, TraceError

DOCUMENT_MEGABYTES = 256
_READ_BYTES = 1 << 20


class _Limit:
    document_bytes = DOCUMENT_MEGABYTES << 20


def limit_documents(megabytes: int = DOCUMENT_MEGABYTES) -> None:
    """Set the most that one JSON document, line or array may have, unpacked (256 MB, unless told otherwise).

    Files that are read line by line or block by block may be larger than that; it holds for all reads of this process
    that follow.

    Raises:
        ConfigError: ``megabytes`` is below 1.
    """
    if megabytes < 1:
        raise ConfigError(f"max_document_mb is {megabytes}, allowed: 1 or more")
    _Limit.document_bytes = megabytes << 20


def document_limit() -> int:
    """Bytes that one document, line or array may have, unpacked."""
    return _Limit.document_bytes


def check_size(size: int, place: object) -> None:
    """Refuse a piece of ``size`` bytes that is beyond the limit.

    Raises:
        TraceError: It is, with the option that allows more.
    """
    if size > _Limit.document_bytes:
        raise TraceError(
            f"{place}: more than {_Limit.document_bytes >> 20} MB in one piece (a document, a line or an array, unpacked); if "
            "this is no damage, allow more (--max-document-mb, or moeram.routing.limit_documents in Python)"
        )


def read_limited(stream: IO[bytes], place: object) -> bytes:
    """All of ``stream``, as far as the limit allows; raises like ``check_size``."""
    pieces, size = [], 0
    while piece := stream.read(_READ_BYTES):
        size += len(piece)
        check_size(size, place)
        pieces.append(piece)
    return b"".join(pieces)
