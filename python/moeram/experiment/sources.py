"""Routing of an experiment, opened once: runs that follow one another in a process often ask for the same."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from moeram.experiment.kept_routing import KeptRouting
from moeram.experiment.options import RoutingOptions
from moeram.model import MoEModel
from moeram.routing import RoutingSource, SyntheticRouting, open_routing

_MOST_KEPT = 2


def open_source(routing: RoutingOptions, model: MoEModel, seed: int, *, memo: bool = True) -> RoutingSource:
    """Open recorded routing, or make its generator; the latest ones are kept and found again while their files are the same.

    memo: large samples of a generator outlast the process in the kernel memo.

    Raises:
        TraceError: the recording is malformed or of another model.
    """
    files = _files(Path(routing.path)) if routing.path is not None else ()
    return _open(_Unhashed((routing, model)), repr((routing, model, seed)), seed, files, memo)


class _Unhashed:
    """Carries what does not decide whether two calls are equal."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Unhashed)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=_MOST_KEPT)
def _open(
    what: _Unhashed, identity: str, seed: int, files: tuple[tuple[str, int, int], ...], memo: bool
) -> RoutingSource:
    routing, model = what.value
    if routing.path is None:
        return (KeptRouting if memo else SyntheticRouting)(model, routing.synthetic, seed=seed)
    return open_routing(routing.path, model, format=routing.format, seed=seed)


def _files(path: Path) -> tuple[tuple[str, int, int], ...]:
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    states = ((str(file), file.stat()) for file in found)
    return tuple((name, state.st_mtime_ns, state.st_size) for name, state in states)
