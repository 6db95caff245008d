"""Which assumptions matter: elementary effects after Morris (Technometrics 33, 1991), with the mean of absolute effects mu* of
Campolongo, Cariboni and Saltelli (Environmental Modelling & Software 22, 2007); and single changes to the ends of the ranges.

A trajectory starts at a random point of a grid of four levels and changes every parameter once, in random order, by 2/3 of its range. The
effect of a parameter is the change of the output over the change of the parameter, whose range counts as 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moeram.repro.assumptions import Parameter, Value

LEVELS = 4
STEP = LEVELS / (2 * (LEVELS - 1))


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a parameter does to an output, in the output's unit per whole range. mu_star: mean of absolute effects; mu: mean; sigma: their
    standard deviation (interactions, curvature); effects: how many.
    """

    mu_star: float
    mu: float
    sigma: float
    effects: int


def value_at(parameter: Parameter, place: float) -> Value:
    """Return the value at a place in 0..1 of a range, or the choice that the place falls on."""
    if parameter.choices is not None:
        return parameter.choices[min(int(place * len(parameter.choices)), len(parameter.choices) - 1)]
    assert parameter.range is not None
    least, most = parameter.range
    value = least + place * (most - least)
    return round(value) if parameter.whole else value


def trajectory(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a trajectory's points in the unit cube, [count + 1, count]; neighbours differ in one coordinate by 2/3."""
    start = rng.integers(0, LEVELS, count) / (LEVELS - 1)
    points = np.tile(start, (count + 1, 1))
    for step, place in enumerate(rng.permutation(count), start=1):
        points[step:, place] += STEP if start[place] + STEP <= 1 + 1e-12 else -STEP
    return np.clip(points, 0, 1)


def design(parameters: Mapping[str, Parameter], trajectories: int, seed: int) -> list[list[dict[str, Value]]]:
    """Return the points of all trajectories as values of the parameters that vary; seeded."""
    varied = {name: one for name, one in parameters.items() if one.varied}
    rng = np.random.default_rng([seed, len(varied)])
    return [
        [
            {name: value_at(one, float(place)) for (name, one), place in zip(varied.items(), point, strict=True)}
            for point in trajectory(len(varied), rng)
        ]
        for _ in range(trajectories)
    ]


def single_changes(parameters: Mapping[str, Parameter]) -> list[dict[str, Value]]:
    """Return every single change from nominal: to each other choice, or to the ends and the middle of a range."""
    found = []
    for name, one in parameters.items():
        if not one.varied:
            continue
        values = one.choices if one.choices is not None else [value_at(one, place) for place in (0, 0.5, 1)]
        found += [{name: value} for value in dict.fromkeys(values) if value != one.nominal]
    return found


def elementary_effects(
    points: Sequence[Sequence[Mapping[str, Value]]],
    outputs: Sequence[Sequence[float]],
    parameters: Mapping[str, Parameter],
) -> dict[str, Effect]:
    """Return the effects of every parameter that changes along the trajectories.

    Args:
        points: of each trajectory. outputs: of each point, the same shape. Steps between equal values (choices, whole numbers) count as effects of 0.
    """
    found: dict[str, list[float]] = {}
    for path, values in zip(points, outputs, strict=True):
        for before, after, low, high in zip(path[:-1], path[1:], values[:-1], values[1:], strict=True):
            changed = [name for name in after if after[name] != before[name]]
            for name in changed:
                found.setdefault(name, []).append(
                    (high - low) / _signed_step(parameters[name], before[name], after[name])
                )
    trajectories = len(points)
    return {name: _effect(effects, trajectories) for name, effects in found.items()}


def _signed_step(parameter: Parameter, before: Value, after: Value) -> float:
    if parameter.choices is not None:
        steps = parameter.choices.index(after) - parameter.choices.index(before)  # type: ignore[arg-type]
        return steps / (len(parameter.choices) - 1)
    assert parameter.range is not None
    least, most = parameter.range
    return (float(after) - float(before)) / (most - least)  # type: ignore[arg-type]


def _effect(effects: list[float], trajectories: int) -> Effect:
    every = np.array(effects + [0.0] * (trajectories - len(effects)))
    return Effect(
        mu_star=float(np.abs(every).mean()),
        mu=float(every.mean()),
        sigma=float(every.std(ddof=1)) if len(every) > 1 else 0.0,
        effects=trajectories,
    )
