"""Outputs of several runs as points of one function space: same probe, same kind, same features."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from devexplore.analysis.stored_outputs import stored_outputs
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.schema import (
    N_FEATURES,
    ON_PROBE,
    OUTPUTS,
    PROBE,
    REFERENCES,
    SKETCH,
    SKETCHED,
    STEP,
    output_groups,
)
from devexplore.stats.sketch import count_sketch

if TYPE_CHECKING:
    from devexplore.run import Run

_SAME = 1e-4
"""Predictors of two runs are one if they differ by less than this share of their size (rounding)."""


class OneSpace(NamedTuple):
    """Runs by their distinct names, in order; ``missing`` says in words which predictors could not come."""

    names: list[str]
    kind: str
    outputs: list[xr.DataArray]
    """Of each run, dimensions (step, …features), steps increasing."""

    predictors: dict[str, xr.DataArray]
    """Idealised predictors by name, dimensions (step of length 1, …features)."""

    missing: list[str]
    n_features: int
    sketched: int | None
    """Numbers that sketches keep of each checkpoint's features; None where these are whole."""


def one_space(runs: "list[Run]", kind: str | None, references: bool) -> OneSpace:
    """What the runs hold on the probe of the first, read lazily (predictors are loaded).

    Raises the errors of ``joint_dynamics``.
    """
    places = ["", *(_place(runs[0], run) for run in runs[1:])]
    names = _distinct([run.name for run in runs])
    group = _common_group(runs, names, places, kind)
    kind = group.removeprefix(f"{OUTPUTS}/").removesuffix(SKETCH)
    stored = [run.dataset(f"{place}{group}") for run, place in zip(runs, places, strict=True)]
    outputs = [stored_outputs(each["output"], kind)[0] for each in stored]
    seed = _sketch_seed(names, stored) if SKETCHED in outputs[0].attrs else None

    def kept(output: xr.DataArray) -> xr.DataArray:
        """A predictor as the checkpoints' outputs were kept, in memory."""
        if seed is None:
            return output.load().expand_dims(STEP)
        size = outputs[0].sizes["feature"]
        return xr.DataArray(count_sketch(output.values.ravel(), size, seed)[None], dims=(STEP, "feature"))

    predictors, missing = _predictors(runs, names, places, kind, kept) if references else ({}, [])
    _require_alike([*names, *predictors], [*outputs, *predictors.values()])
    features = outputs[0].size // outputs[0].sizes[STEP]
    if seed is None:
        return OneSpace(names, kind, outputs, predictors, missing, features, None)
    return OneSpace(names, kind, outputs, predictors, missing, int(outputs[0].attrs[N_FEATURES]), features)


def _place(first: "Run", run: "Run") -> str:
    """Below which group the run keeps what it does on the first one's probe: "" if that is its own.

    Raises InvalidSpec, saying what differs, where it has not met that probe.
    """
    if first.has(PROBE):
        prefix = f"{ON_PROBE}/{first.probe_id}/"
        if any(run.has(f"{prefix}{group}") for group in output_groups(None)):
            return prefix
    for each in (first, run):
        if not each.has(PROBE):
            raise NotMeasured(
                f"{each.name} holds no probe: it cannot be told whether {first.name} and {run.name} met the "
                "same inputs; dx.share_probe([…]) measures both on one"
            )
    if run.probe_id == first.probe_id:
        return ""
    ours, theirs = first.dataset(PROBE), run.dataset(PROBE)
    different = [
        f"{name} {_shape(ours, name)} and {_shape(theirs, name)}"
        if _shape(ours, name) != _shape(theirs, name)
        else f"other values of {name}"
        for name in sorted(map(str, {*ours.data_vars, *theirs.data_vars}))
        if not (name in ours and name in theirs and np.array_equal(ours[name].values, theirs[name].values))
    ]
    raise InvalidSpec(
        f"{first.name} and {run.name} were measured on other probes ({', '.join(different)}); "
        "dx.share_probe([…]) measures all runs on the probe of the first"
    )


def _shape(probe: xr.Dataset, name: str) -> str:
    return str(probe[name].shape) if name in probe else "absent"


def _common_group(runs: "list[Run]", names: list[str], places: list[str], kind: str | None) -> str:
    """The group of outputs that every run has: that of the most checkpoints, of equals whole ones rather than
    sketches."""
    held = {
        name: [group for group in output_groups(None) if run.has(f"{place}{group}")]
        for run, name, place in zip(runs, names, places, strict=True)
    }
    common = [group for group in output_groups(kind) if all(group in groups for groups in held.values())]
    if common:
        return max(common, key=lambda group: _checkpoints(runs, places, group))
    words = "; ".join(f"{name}: {', '.join(groups) or 'none'}" for name, groups in held.items())
    raise NotMeasured(
        f"no outputs of {'one kind' if kind is None else f'kind {kind!r}'} in every run ({words}); "
        "dx.share_probe(runs, kind) measures them on the probe of the first"
    )


def _checkpoints(runs: "list[Run]", places: list[str], group: str) -> int:
    return sum(run.dataset(f"{place}{group}").sizes[STEP] for run, place in zip(runs, places, strict=True))


def _sketch_seed(names: list[str], stored: list[xr.Dataset]) -> int:
    """The seed of all sketches. Raises InvalidSpec if they are no sketches of one kind."""
    specs = [json.loads(each.attrs["spec"]) for each in stored]
    for name, spec in zip(names, specs, strict=True):
        for key in ("sketch", "sketch_seed"):
            if spec[key] != specs[0][key]:
                raise InvalidSpec(
                    f"outputs of {names[0]} and {name} were sketched with {key} {specs[0][key]} and "
                    f"{spec[key]}; dx.share_probe(runs, kind, sketch=…) measures them alike"
                )
    return specs[0]["sketch_seed"]


def _predictors(
    runs: "list[Run]",
    names: list[str],
    places: list[str],
    kind: str,
    kept: Callable[[xr.DataArray], xr.DataArray],
) -> tuple[dict[str, xr.DataArray], list[str]]:
    """Every predictor that is stored, and what is missing, in words.

    One that all runs share comes once; one that only some have is named after them.
    """
    owners: dict[str, list[tuple[list[str], xr.DataArray]]] = {}
    missing, asked = [], 0
    for run, name, place in zip(runs, names, places, strict=True):
        group = f"{place}{REFERENCES}/{kind}"
        if not run.has(group):
            missing.append(f"no predictors stored for {name}: dx.share_probe(runs, {kind!r}) adds them")
            continue
        asked += 1
        stored = run.dataset(group)
        if stored.attrs.get("missing"):
            missing.append(f"predictors counted in the text of {name} are missing: {stored.attrs['missing']}")
        for label in stored["predictor"].values:
            output = kept(stored["output"].sel(predictor=label, drop=True))
            like = [own for own, other in owners.setdefault(str(label), []) if _same(output, other)]
            if like:
                like[0].append(name)
            else:
                owners[str(label)].append(([name], output))
    found = {
        label if len(own) == asked else f"{label} ({', '.join(own)})": output
        for label, each in owners.items()
        for own, output in each
    }
    return found, missing


def _same(one: xr.DataArray, other: xr.DataArray) -> bool:
    a, b = one.values.astype(np.float32).ravel(), other.values.astype(np.float32).ravel()
    return a.shape == b.shape and bool(np.linalg.norm(a - b) <= _SAME * np.linalg.norm(a))


def _require_alike(names: list[str], outputs: list[xr.DataArray]) -> None:
    """Raise InvalidSpec unless all outputs have the features of the first, at the same positions."""
    first = outputs[0]
    sizes = {str(dim): size for dim, size in first.sizes.items() if dim != STEP}
    for name, output in zip(names[1:], outputs[1:], strict=True):
        others = {str(dim): size for dim, size in output.sizes.items() if dim != STEP}
        if sizes != others:
            raise InvalidSpec(f"outputs of {names[0]} have the shape {sizes}, those of {name} {others}")
        for dim in sizes:
            if not np.array_equal(first[dim].values, output[dim].values):
                raise InvalidSpec(f"outputs of {names[0]} and {name} are kept at other values of {dim}")


def _distinct(names: list[str]) -> list[str]:
    """Names as they are; from its second occurrence on, a name is numbered."""
    return [
        name if name not in names[:i] else f"{name} ({names[:i].count(name) + 1})"
        for i, name in enumerate(names)
    ]
