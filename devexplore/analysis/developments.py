"""When each development of a run begins, is half done and ends, read off its metrics, with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float

from devexplore.arguments import as_runs
from devexplore.checks import whole_number
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.geometry import smoother
from devexplore.schema import METRIC_BLOCKS, METRICS, STEP
from devexplore.stats.blocks import resampled_means
from devexplore.stats.crossing import falling_crossing

if TYPE_CHECKING:
    from devexplore.run import Run

SHARES: Final = {"onset": 0.1, "halfway": 0.5, "end": 0.9}
"""Shares of the whole change at which a development begins, is half done and ends."""

_BANDWIDTH: Final = 0.3
"""Of the smoothing that finds the extreme of a curve, in ln(1 + step)."""

_LEAST_MOVE: Final = 3.0
"""Scatters about its smooth self (until its extreme) by which a curve must at least move to develop."""


class Development(NamedTuple):
    """What a metric's rise or fall is called. ``over``: how its further dimensions become one curve.
    ``after``: a development named before it, from whose extreme on this one counts."""

    name: str
    metric: str
    rises: bool
    over: Mapping[str, object] = {}
    """By dimension: "first" or "last" of it, its "mean", "each" (one development a label; one dimension at
    most), or "best": of these dimensions together (heads), the part that is furthest at its extreme. A label
    that is no such word is selected."""
    after: str = ""


KNOWN: Final[Mapping[str, tuple[Development, ...]]] = {
    "language": (
        Development("bigrams", "bigram_kl", False),
        Development("n-grams", "ngram_score", True, {"n": "each"}),
        Development("positions", "positional_dependence", True),
        Development("previous-token head", "previous_token_score", True, {"layer": "first", "head": "best"}),
        Development("prefix-matching head", "prefix_matching_score", True, {"layer": "last", "head": "best"}),
        Development("induction", "repetition_gain", True),
        # while a model learns bigrams, late tokens gain a little over early ones that no context explains
        Development("in-context learning", "icl_score", False, after="bigrams"),
    ),
    "regression": (
        Development("task prior", "squared_prediction", False, {"position": "mean"}),
        Development("in-context learning", "icl_score", False),
        Development("near to ridge", "distance_to_ridge", False),
        Development("sharper attention", "attention_entropy", False, {"layer": "best", "head": "best"}),
        Development("LayerNorm collapse", "norm_collapse", True, {"norm": "each"}),
        Development("unembedding collapse", "unembedding_share", True, {"singular": "first"}),
        Development("embedding collapse", "embedding_share", False, {"singular": "last"}),
        Development("positional collapse", "position_share", True, {"position_singular": "first"}),
    ),
    "superposition": (Development("loss", "population_loss", False),),
    "deep_linear": (Development("mode", "mode_strength", True, {"teacher_mode": "each"}),),
}
"""Developments of each system, in the order in which the literature expects them."""


def developments(
    source: "Run | Sequence[Run]",
    wanted: Sequence[Development] | None = None,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> xr.Dataset:
    """Onset, half-way point and end of each development, with 90 % intervals.

    A development runs from a metric's first value to its extreme (its maximum where it rises, its minimum
    where it falls; both of the curve smoothed in x = ln(1 + step), which may turn back afterwards:
    ``extreme``). Onset, half-way point and end are where 10, 50 and 90 % of that are done: the one place that
    best parts a time before from a time after (``stats.crossing``). Of a curve that falls in two steps the
    onset is that of the first, and may be long before what the development is named after. A curve that moves
    by less than three times its own scatter has no development: NaN. In-context learning of language counts
    from where bigrams are best (``Development.after``): the score's first fall is not yet that.

    Intervals are quantiles over resamples of the blocks of samples (group ``metric_blocks``) that the metric
    averages over (``stats.blocks``), with the same head taken as the best: they hold the error of measuring
    on a finite sample, not that of the spacing of checkpoints nor of another training. A metric of the
    weights alone has none (NaN). Several runs (other seeds) give one row each along ``run``; their spread is
    the error of training.

    Args:
        source: a run, or runs of the same system (seeds).
        wanted: other developments than ``KNOWN`` of the run's system.
        resamples, seed: of the bootstrap.

    Returns:
        Over (run,) ``development``: onset, halfway, end, extreme (steps), each with _lower and _upper;
        first_value, extreme_value; part (which head, where the best was taken); last (whether the extreme is
        the last checkpoint: it may not be over). before (development, other): the share of resamples in which
        the one is half done before the other; NaN without blocks of both. ``attrs["missing"]``: developments
        whose metric is not there (in any of the runs).

    Raises:
        NotMeasured: for a run without any of the metrics.
        InvalidSpec: for no run, runs of several systems, two developments of one name, dimensions of a metric
            that ``over`` does not resolve, or settings that are none.
    """
    runs = as_runs(source)
    resamples, seed = whole_number("resamples", resamples, 1), whole_number("seed", seed, 0)
    strange = [one for one in wanted or () if not isinstance(one, Development)]
    if strange or isinstance(wanted, Development):
        given = type(strange[0] if strange else wanted).__name__
        raise InvalidSpec(f"expected a list of dx.Development for wanted, got {given}")
    if not isinstance(source, Sequence):
        return _of_run(runs[0], wanted, resamples, seed)
    if len({run.system for run in runs}) > 1 and wanted is None:
        raise InvalidSpec(f"runs of several systems develop otherwise: {', '.join(run.name for run in runs)}")
    found = [_of_run(run, wanted, resamples, seed) for run in runs]
    names = list(dict.fromkeys(name for one in found for name in one["development"].values))
    found = [one.reindex(development=names, other=names) for one in found]
    label = xr.DataArray([run.name for run in runs], dims="run", name="run")
    together = xr.concat(found, label, join="exact", combine_attrs="override")
    missing = list(dict.fromkeys(name for one in found for name in one.attrs["missing"]))
    return together.assign_attrs(missing=missing)


def _of_run(run: "Run", wanted: Sequence[Development] | None, resamples: int, seed: int) -> xr.Dataset:
    metrics = run.dataset(METRICS).load()
    blocks = run.dataset(METRIC_BLOCKS).load() if run.has(METRIC_BLOCKS) else xr.Dataset()
    sought = KNOWN.get(run.system, ()) if wanted is None else wanted
    rows: dict[str, dict[str, object]] = {}
    halfway: dict[str, Float[np.ndarray, " resample"] | None] = {}
    missing = [one.name for one in sought if one.metric not in metrics]
    for one in sought:
        if one.name in missing:
            continue
        for name, curve, parts, part in _curves(one, metrics, blocks):
            if name in rows:
                raise InvalidSpec(f"two developments are called {name!r}; give them different names")
            value = curve.values.astype(np.float64)
            known = np.isfinite(value)
            if one.after in rows:
                known &= curve[STEP].values >= rows[one.after]["extreme"]
            step = curve[STEP].values.astype(np.float64)[known]
            if len(step) == 0:
                missing.append(name)
                continue
            measured = Measured(step, value[known], one.rises)
            drawn = None
            if parts is not None:
                values = parts.transpose("block", STEP).values.astype(np.float64)[:, known]
                drawn = Measured(step, resampled_means(values, resamples, seed).T, one.rises)
            rows[name] = {**_row(measured, drawn), "part": part}
            halfway[name] = None if drawn is None else drawn.at("halfway")
    if not rows:
        raise NotMeasured(
            f"{run.name} lacks the metrics of its development ({', '.join(missing) or 'none is known'}); "
            f"{run.remedy('metrics')}"
        )
    names = list(rows)
    before = [[_share_before(halfway[a], halfway[b]) for b in names] for a in names]
    columns = {key: ("development", np.array([row[key] for row in rows.values()])) for key in rows[names[0]]}
    label = np.array(names, dtype=object)
    return xr.Dataset(
        {**columns, "before": (("development", "other"), np.array(before))},
        coords={"development": label, "other": label},
        attrs={"missing": missing, "resamples": resamples},
    )


class Measured:
    """Curves (step, curve) on their way from the first value to the extreme."""

    def __init__(self, step: Float[np.ndarray, " step"], value: np.ndarray, rises: bool) -> None:
        self.x = np.log1p(step)
        sign = 1.0 if rises else -1.0
        falling = -sign * value.reshape(len(step), -1)
        smooth = smoother(self.x, _BANDWIDTH, degree=1).weights[0] @ falling if len(step) > 2 else falling
        self.last_place = np.argmin(smooth, axis=0)
        self._first = smooth[0]
        self._reached = np.take_along_axis(smooth, self.last_place[None], axis=0)[0]
        after = np.arange(len(step))[:, None] > self.last_place
        # what comes after the extreme is another story
        self._falling = np.where(after, self._reached, falling)
        scatter = np.sqrt(np.mean((falling - smooth) ** 2, axis=0, where=~after))
        self._scatter = scatter + 1e-9 * np.abs(self._first)  # smoothing rounds
        self.first, self.reached = -sign * self._first, -sign * self._reached

    def at(self, share: str) -> Float[np.ndarray, " curve"]:
        """Step at which this share (onset, halfway, end) is done; NaN for a curve that hardly moves."""
        level = self._first + SHARES[share] * (self._reached - self._first)
        moved = self._first - self._reached > _LEAST_MOVE * self._scatter
        return np.where(moved, np.expm1(falling_crossing(self.x, self._falling, level)), np.nan)

    @property
    def extreme(self) -> Float[np.ndarray, " curve"]:
        return np.expm1(self.x[self.last_place])


def _row(measured: Measured, drawn: Measured | None) -> dict[str, object]:
    row: dict[str, object] = {}
    for name in (*SHARES, "extreme"):
        row[name] = float(_read(measured, name)[0])
        many = np.full(1, np.nan) if drawn is None else _read(drawn, name)
        finite = many[np.isfinite(many)]
        bounds = np.quantile(finite, [0.05, 0.95]) if len(finite) else (np.nan, np.nan)
        row[f"{name}_lower"], row[f"{name}_upper"] = bounds
    row |= {"first_value": float(measured.first[0]), "extreme_value": float(measured.reached[0])}
    return row | {"last": bool(measured.last_place[0] == len(measured.x) - 1)}


def _read(measured: Measured, name: str) -> Float[np.ndarray, " curve"]:
    return measured.extreme if name == "extreme" else measured.at(name)


def _share_before(one: np.ndarray | None, other: np.ndarray | None) -> float:
    if one is None or other is None or one is other:
        return np.nan
    both = np.isfinite(one) & np.isfinite(other)
    return float((one < other)[both].mean()) if both.any() else np.nan


def _curves(
    one: Development, metrics: xr.Dataset, blocks: xr.Dataset
) -> Iterator[tuple[str, xr.DataArray, xr.DataArray | None, str]]:
    """Name, curve, its blocks (None if there are none) and the part chosen, of each of its curves."""
    values = metrics[one.metric]
    parts = blocks.get(one.metric)
    each: list[str] = []
    best: list[str] = []
    for dim, how in one.over.items():
        if dim not in values.dims:
            raise InvalidSpec(
                f"{one.metric} has the dimensions {', '.join(map(str, values.dims))}, not {dim!r}"
            )
        if how == "mean":
            values, parts = values.mean(dim), None if parts is None else parts.mean(dim)
        elif how in ("first", "last"):
            at = {dim: 0 if how == "first" else -1}
            values, parts = values.isel(at), None if parts is None else parts.isel(at)
        elif how in ("each", "best"):
            (each if how == "each" else best).append(dim)
        else:
            values, parts = values.sel({dim: how}), None if parts is None else parts.sel({dim: how})
    if best:
        stacked = values.stack(part=best)
        extremes = stacked.max(STEP) if one.rises else stacked.min(STEP)
        at = int(extremes.argmax("part") if one.rises else extremes.argmin("part"))
        chosen = {dim: stacked[dim].values[at] for dim in best}
        values = values.sel(chosen)
        parts = None if parts is None else parts.sel(chosen)
        named = {**{str(d): values[d].item() for d in ("layer",) if d in values.coords}, **chosen}
        part = " ".join(f"{dim} {label}" for dim, label in named.items())
    else:
        part = ""
    left = set(map(str, values.dims)) - {STEP, *each}
    if left or len(each) > 1:
        raise InvalidSpec(
            f"{one.name}: {one.metric} has the dimensions {', '.join(map(str, values.dims))}; say in `over` "
            f'what becomes of {", ".join(sorted(left or set(each)))}, with "each" for one of them at most'
        )
    if not each:
        yield one.name, values, parts, part
        return
    (dim,) = each
    for at in range(values.sizes[dim]):
        label = values[dim].values[at] if dim in values.coords else at + 1
        name = f"{label}-grams" if dim == "n" else f"{one.name} {label}"
        yield name, values.isel({dim: at}), None if parts is None else parts.isel({dim: at}), part
