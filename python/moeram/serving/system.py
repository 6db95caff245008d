"""Serving systems from configs/systems/*.yaml: which GPUs, what memory beside them, how they are joined."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from moeram.errors import ConfigError
from moeram.hardware.gpu import Gpu, load_gpu
from moeram.hardware.network import Mode, Network, Topology
from moeram.options import Options, Tree, build, config_names, config_path, load_config, overlay, tree_of_values
from moeram.options.tree import Key
from moeram.serving.pricing import GpuPimOptions, NearMemoryOptions
from moeram.units import GbPerS, Ns, PjPerBit

Efficiency = Annotated[float, Field(gt=0, le=1)]


class Links(Options):
    """How GPUs are joined; link_gb_per_s and latency_ns None: those of the GPU's own link. link_pj_per_bit: see `Network`."""

    topology: Literal["ring", "mesh", "all-to-all", "switch"] = "switch"
    columns: Annotated[int, Field(ge=1)] | None = None
    link_gb_per_s: Annotated[GbPerS, Field(gt=0)] | None = None
    latency_ns: Annotated[Ns, Field(ge=0)] | None = None
    mode: Mode = "closed"
    link_pj_per_bit: Annotated[PjPerBit, Field(ge=0)] = 1.3


_VALUES = "system_values"
# Options that join or divide several GPUs -> their defaults.
_OF_SEVERAL: dict[tuple[str, ...], Any] = {
    ("experts",): "tensor",
    ("gpu_pim", "dense"): "replicated",
    **{("links", name): field.default for name, field in Links.model_fields.items()},
}


class ServingSystem(Options):
    """One serving system.

    kind: "gpus" (weights in the GPUs' own memory), "gpu_pim" (that memory computes: `memory` names one of configs/memories) or
    "near_memory" (`memory` names chips of configs/hardware; the GPUs have none of their own). compute_efficiency,
    memory_efficiency: instead of the GPU's. experts: of kind "gpus", cut over all GPUs or dealt out; deal_every_steps:
    dealt out anew by their use after so many steps, None: never. in_paper: a published system.
    """

    name: str
    description: str
    in_paper: bool
    kind: Literal["gpus", "gpu_pim", "near_memory"]
    gpu: str
    gpus: Annotated[int, Field(ge=1, le=1024)]
    memory: str | None = None
    links: Links = Links()
    compute_efficiency: Efficiency | None = None
    memory_efficiency: Efficiency | None = None
    experts: Literal["tensor", "expert"] = "tensor"
    deal_every_steps: Annotated[int, Field(ge=1)] | None = None
    gpu_pim: GpuPimOptions = GpuPimOptions()
    near_memory: NearMemoryOptions = NearMemoryOptions()

    @model_validator(mode="after")
    def _memory_where_it_belongs(self) -> ServingSystem:
        if (self.memory is None) != (self.kind == "gpus"):
            needed = "no memory of its own kind" if self.kind == "gpus" else "the name of its memory"
            raise ValueError(f"a system of kind {self.kind} takes {needed}, memory is {self.memory!r}")
        return self

    @model_validator(mode="after")
    def _options_of_its_kind(self) -> ServingSystem:
        default = type(self).model_fields
        of_kind = {"experts": "gpus", "gpu_pim": "gpu_pim", "near_memory": "near_memory"}
        for name, kind in of_kind.items():
            if self.kind != kind and getattr(self, name) != default[name].default:
                raise ValueError(f"{name} is given, but the system is of kind {self.kind}, allowed: kind {kind}")
        if self.deal_every_steps is not None and self.experts != "expert":
            raise ValueError("deal_every_steps is given, but no experts are dealt out, allowed: kind gpus with experts: expert")
        if self.kind == "near_memory" and self.memory_efficiency is not None:
            raise ValueError(
                "memory_efficiency is given, but processors of kind near_memory read over a link, allowed: near_memory.link_efficiency"
            )
        return self

    def one_gpu(self) -> Gpu:
        """Return its GPU with the efficiencies of the system."""
        given = {"compute_efficiency": self.compute_efficiency, "memory_efficiency": self.memory_efficiency}
        changed = {name: value for name, value in given.items() if value is not None}
        return load_gpu(self.gpu).model_copy(update=changed)

    def network(self, gpu: Gpu | None = None) -> Network:
        """Return the network between its GPUs; gpu: whose link it is where the system names none of its own."""
        gpu, links = gpu or load_gpu(self.gpu), self.links
        topology = Topology(
            topology=links.topology,
            nodes=self.gpus,
            columns=links.columns,
            link_gb_per_s=gpu.link_gb_per_s if links.link_gb_per_s is None else links.link_gb_per_s,
            latency_ns=gpu.link_latency_us * 1e3 if links.latency_ns is None else links.latency_ns,
        )
        return Network(topology, links.mode, link_pj_per_bit=links.link_pj_per_bit)


def load_serving_system(name_or_path: str | Path, values: Mapping[str, Any] | None = None) -> ServingSystem:
    """Return a serving system by name ("b200_pim_x4") or path; values: nested keys of the file to replace.

    Raises:
        ConfigError: no such config (names the nearest), unknown keys, wrong units; all complaints at once.
    """
    tree, file = load_config("systems", name_or_path), str(config_path("systems", name_or_path))
    if values:
        tree = overlay(tree, tree_of_values(dict(values), _VALUES))
    system = build(ServingSystem, tree)
    _check_names(system, tree)
    _check_one_gpu(system, tree, file)
    _check_columns(system, tree)
    if not values:
        return system
    changed = f"{system.description}, changed: {', '.join(sorted(values))}"
    return system if "in_paper" in values else system.model_copy(update={"in_paper": False, "description": changed})


def _check_names(system: ServingSystem, tree: Tree) -> None:
    """Refuse a GPU or memory that no config has, by the key that names it."""
    named = {"gpu": ("gpus", system.gpu)}
    if system.memory is not None:
        named["memory"] = ("memories" if system.kind == "gpu_pim" else "hardware", system.memory)
    for key, (kind, name) in named.items():
        try:
            config_path(kind, name)
        except ConfigError as error:
            raise ConfigError(f"{tree.place((key,))}: {error}") from None


def _check_one_gpu(system: ServingSystem, tree: Tree, file: str) -> None:
    """Refuse what only several GPUs need, of a system with one, where it is written beside their number or above it."""
    if system.gpus > 1:
        return

    def layer(key: Key) -> int:
        origin = tree.origin(key)
        return 2 if origin.startswith(_VALUES) else int(origin.startswith(f"{file}:"))

    for key, default in _OF_SEVERAL.items():
        value = functools.reduce(getattr, key, system)
        if value != default and layer(key) >= layer(("gpus",)):
            raise ConfigError(f"{tree.place(key)}: given, but {system.name} has one GPU, for which it changes nothing; allowed: with gpus above 1")


def _check_columns(system: ServingSystem, tree: Tree) -> None:
    """Refuse a mesh without whole rows, and columns of anything else, by the key."""
    links, key = system.links, ("links", "columns")
    if links.topology == "mesh" and (links.columns is None or system.gpus % links.columns):
        given = "missing" if links.columns is None else f"given {links.columns}"
        raise ConfigError(f"{_place(tree, key)}: {given}, a mesh of {system.gpus} GPUs needs columns that divide them")
    if links.topology != "mesh" and links.columns is not None:
        raise ConfigError(f"{_place(tree, key)}: given for a {links.topology}, allowed: for a mesh")


def _place(tree: Tree, key: Key) -> str:
    """Return where a key was written or, missing beside others of system_values, belongs."""
    origin = tree.origin(key)
    return f"{_VALUES}.{'.'.join(map(str, key))}" if origin.startswith(_VALUES) else tree.place(key)


def serving_system_names() -> list[str]:
    """Return the names of the shipped serving systems."""
    return config_names("systems")
