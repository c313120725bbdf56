"""Whether probes that know nothing of each other see the same boundaries, beside chance."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.analysis.milestones import find_milestones
from devexplore.analysis.run_curves import curve_names
from devexplore.arguments import require_run
from devexplore.errors import DevexploreError, InvalidSpec
from devexplore.schema import STEP
from devexplore.stats.points import numbers

if TYPE_CHECKING:
    from devexplore.run import Run


def agreement(
    source: "Run | Mapping[str, xr.Dataset]",
    curves: Sequence[str] | None = None,
    *,
    first_step: float | None = None,
    last_step: float | None = None,
) -> xr.Dataset:
    """Boundaries that each curve sees, and how many of them another sees too.

    Two boundaries agree where their 90 % intervals overlap in x = ln(1 + step). The same number by chance is
    what a curve would reach whose intervals were laid down at random (evenly in x over the run): for each,
    the share of places at which it would touch one of the other curve's. Wide intervals overlap easily, which
    ``chance`` shows.

    Args:
        source: a run, or Datasets of ``find_milestones`` (or anything with step, lower, upper over one
            dimension) by name.
        curves: of a run, names that ``find_milestones`` takes; default: llc, loss, curvature and every metric
            with one number a checkpoint, as far as measured.
        first_step, last_step: ends of the time axis; default: the run's own, or those of the intervals.

    Returns:
        Over ``boundary``, in the order of training: curve, step, lower, upper, probability, kind. Over
        (``curve_name``, ``other``): shared (share of the curve's boundaries that the other sees; NaN where it
        has none), chance, and p_value, the probability that chance gives so many or more (of three
        boundaries two are soon shared). ``attrs["without"]``: curves that could not be judged, and why.

    Raises:
        InvalidSpec: for no run, fewer than two curves, a curve named twice, intervals that are none, or
            boundaries outside the ends.
    """
    without: dict[str, str] = {}
    if isinstance(source, Mapping):
        found = dict(source)
    elif curves is not None:
        require_run(source)
        found = _of_curves(source, curves)
    else:
        require_run(source, " or Datasets of find_milestones by name")
        found = {}
        for name in default_curves(source):
            try:
                found[name] = find_milestones(source, name)
            except DevexploreError as error:  # too short, or not there: the other curves are
                without[name] = str(error)
    if not isinstance(source, Mapping):
        first_step, last_step = _ends(source, first_step, last_step)
    if len(found) < 2:
        raise InvalidSpec(
            f"agreement needs at least two curves, got {len(found)}"
            + "".join(f"; {name}: {why}" for name, why in without.items())
        )
    table = {name: np.log1p(_columns(name, held, "step", "lower", "upper")) for name, held in found.items()}
    everything = np.concatenate(list(table.values()), axis=1)
    low = np.log1p(first_step) if first_step is not None else _least(everything)
    high = np.log1p(last_step) if last_step is not None else _most(everything)
    if not all(low <= x <= high for x in everything[0]):
        raise InvalidSpec(
            f"boundaries lie between the ends of training, not outside {np.expm1(low):g} … {np.expm1(high):g}"
        )
    names = list(table)
    shared, chance, p_value = np.full((3, len(names), len(names)), np.nan)
    for i, name in enumerate(names):
        for j, other in enumerate(names):
            if i != j and table[name].shape[1]:
                seen = _overlap(table[name], table[other]).any(axis=1)
                by_chance = _by_chance(table[name], table[other], low, high)
                shared[i, j], chance[i, j] = seen.mean(), by_chance.mean()
                p_value[i, j] = _at_least(int(seen.sum()), by_chance)
    order = np.argsort(everything[0], kind="stable")
    curve_of = np.repeat(np.array(names, dtype=object), [table[name].shape[1] for name in names])
    rows = {
        name: np.expm1(column[order])
        for name, column in zip(("step", "lower", "upper"), everything, strict=True)
    }
    rows |= {name: _joined(found, name)[order] for name in ("probability", "kind")}
    return xr.Dataset(
        {
            "curve": ("boundary", curve_of[order]),
            **{name: ("boundary", values) for name, values in rows.items()},
            "shared": (
                ("curve_name", "other"),
                shared,
                {"long_name": "share of boundaries that the other sees"},
            ),
            "chance": (
                ("curve_name", "other"),
                chance,
                {"long_name": "the same, of intervals laid at random"},
            ),
            "p_value": (("curve_name", "other"), p_value, {"long_name": "chance of so many or more"}),
        },
        coords={"curve_name": np.array(names, dtype=object), "other": np.array(names, dtype=object)},
        attrs={"without": without, "first_step": float(np.expm1(low)), "last_step": float(np.expm1(high))},
    )


def _of_curves(run: "Run", curves: Sequence[str]) -> dict[str, xr.Dataset]:
    """Milestones of each curve asked for; a curve agrees with itself, and that says nothing."""
    if isinstance(curves, str):
        raise InvalidSpec(f"curves: expected names such as ['llc', 'loss'], got the text {curves!r}")
    found: dict[str, xr.Dataset] = {}
    for name in curves:
        milestones = find_milestones(run, name)
        same = [other for other, held in found.items() if held.attrs["curve"] == milestones.attrs["curve"]]
        if same:
            raise InvalidSpec(f"{same[0]} and {name} are the same curve of {run.name}; keep one of them")
        found[name] = milestones
    return found


def default_curves(run: "Run") -> list[str]:
    """The curves of a run that ``agreement`` compares unless told otherwise: all, but one loss."""
    return [name for name in curve_names(run) if name not in ("test_loss", "train_loss")]


def _ends(run: "Run", first: float | None, last: float | None) -> tuple[float | None, float | None]:
    steps = [run.dataset(group)[STEP].values for group in run.groups if STEP in run.dataset(group).coords]
    if first is None and steps:
        first = min(float(step.min()) for step in steps)
    if last is None and steps:
        last = max(float(step.max()) for step in steps)
    return first, last


def _least(values: np.ndarray) -> float:
    return float(values.min()) if values.size else 0.0


def _most(values: np.ndarray) -> float:
    return float(values.max()) if values.size else 0.0


def _columns(curve: str, milestones: xr.Dataset, *names: str) -> Float[np.ndarray, "column boundary"]:
    given = milestones if isinstance(milestones, xr.Dataset) else xr.Dataset()
    lacking = [name for name in names if name not in given or given[name].ndim != 1]
    if lacking:
        raise InvalidSpec(
            f"{curve}: expected {', '.join(names)} over one dimension, as dx.find_milestones gives them; "
            f"{', '.join(lacking)} is not there"
        )
    columns = np.stack([numbers(milestones[name].values, name) for name in names])
    _, lower, upper = columns
    if not (np.isfinite(columns).all() and (columns > -1).all() and (lower <= upper).all()):
        raise InvalidSpec(
            f"{curve}: expected finite steps, and intervals with lower ≤ upper, at each boundary"
        )
    return columns


def _joined(found: Mapping[str, xr.Dataset], name: str) -> np.ndarray:
    """A column over all curves; NaN (or "") where a curve does not have it."""
    empty: object = "" if name == "kind" else np.nan
    columns = [
        held[name].values if name in held else np.full(held["step"].shape, empty, dtype=object)
        for held in found.values()
    ]
    return np.concatenate([np.asarray(column, dtype=object) for column in columns])


def _at_least(count: int, chance: Float[np.ndarray, " boundary"]) -> float:
    """Probability of ``count`` or more of independent events with these probabilities (Poisson binomial)."""
    of_each = np.ones(1)
    for one in chance:
        of_each = np.convolve(of_each, [1 - one, one])
    return float(of_each[count:].sum())


def _overlap(one: Float[np.ndarray, "3 boundary"], other: Float[np.ndarray, "3 other"]) -> np.ndarray:
    """Whether the interval of each of one curve's boundaries touches each of the other's."""
    return (one[1][:, None] <= other[2]) & (other[1] <= one[2][:, None])


def _by_chance(
    one: Float[np.ndarray, "3 boundary"], other: Float[np.ndarray, "3 other"], low: float, high: float
) -> Float[np.ndarray, " boundary"]:
    """For each interval, the share of its places within low … high at which it touches one of the other's."""
    width = np.minimum(one[2] - one[1], high - low)
    chance = np.zeros(len(width))
    for i, size in enumerate(width):
        room = high - low - size  # its lower end lies in low … low + room
        starts = np.clip(other[1] - size, low, low + room)
        ends = np.clip(other[2], low, low + room)
        if room <= 0:
            chance[i] = float(other.shape[1] > 0)
            continue
        reach, covered = -np.inf, 0.0
        for start, end in sorted(zip(starts, ends, strict=True)):
            covered += max(0.0, end - max(start, reach))
            reach = max(reach, end)
        chance[i] = covered / room
    return chance
