"""Milestones of any curve, and whether curves agree on them more than chance would have it."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import devexplore as dx
from devexplore.analysis import essential_dynamics
from devexplore.analysis.agreement import agreement
from devexplore.analysis.milestones import find_milestones
from devexplore.analysis.run_curves import log_curvature
from devexplore.errors import InvalidSpec, NotMeasured

X = np.linspace(0, 9.5, 140)
STEPS = np.expm1(X)
HILL = 10 * np.sin(np.pi * X / 9.5)


def curve(values: np.ndarray, name: str = "score") -> xr.DataArray:
    return xr.DataArray(values, dims="step", coords={"step": STEPS}, name=name)


def noise(seed: int = 0) -> np.ndarray:
    return 0.3 * np.random.default_rng(seed).normal(size=len(X))


def run(**groups: xr.Dataset) -> SimpleNamespace:
    def dataset(name: str) -> xr.Dataset:
        if name not in groups:
            raise NotMeasured(name)
        return groups[name]

    return SimpleNamespace(
        name="planted", groups=tuple(groups), has=groups.__contains__, dataset=dataset, remedy=str
    )


def test_the_top_of_any_curve_is_a_milestone_in_its_interval():
    found = find_milestones(curve(HILL + noise()), se=curve(np.full(len(X), 0.3)))
    assert found.kind.values.tolist() == ["maximum"]
    assert found.lower.values[0] <= np.expm1(4.75) <= found.upper.values[0]
    assert found.attrs["curve"] == "score"


def test_a_run_gives_its_llc_its_loss_and_its_metrics():
    blocks = HILL + 0.3 * np.random.default_rng(1).normal(size=(16, len(X)))
    planted = run(
        llc=xr.Dataset({"llc": curve(HILL + noise()), "llc_se": curve(np.full(len(X), 0.3))}),
        losses=xr.Dataset({"test_loss": curve(6 - 0.2 * X)}),
        metrics=xr.Dataset({"score": curve(blocks.mean(axis=0))}),
        metric_blocks=xr.Dataset({"score": (("block", "step"), blocks)}, coords={"step": STEPS}),
    )
    for name in ("llc", "score"):
        assert np.log1p(find_milestones(planted, name).step.values) == pytest.approx([4.75], abs=0.5)
    assert find_milestones(planted, "loss").sizes["milestone"] == 0
    with pytest.raises(InvalidSpec, match="no curve 'scores'; it has llc, loss, curvature, test_loss, score"):
        find_milestones(planted, "scores")


def test_an_error_that_all_checkpoints_share_hides_no_milestone():
    """Metrics are measured on the same samples at every checkpoint: blocks differ by an offset, and the curve
    does not shake."""
    rng = np.random.default_rng(0)
    blocks = HILL + 5 * rng.normal(size=(16, 1)) + 0.05 * rng.normal(size=(16, len(X)))
    planted = run(
        metrics=xr.Dataset({"score": curve(blocks.mean(axis=0))}),
        metric_blocks=xr.Dataset({"score": (("block", "step"), blocks)}, coords={"step": STEPS}),
    )
    found = find_milestones(planted, "score")
    assert found.kind.values.tolist() == ["maximum"]
    assert np.log1p(found.upper.item()) - np.log1p(found.lower.item()) < 0.4


def test_an_estimate_that_is_no_llc_makes_no_milestone():
    values = HILL + noise()
    values[60] = -1e4  # negative beyond its error: no local minimum at this scale
    llc = xr.Dataset({"llc": curve(values), "llc_se": curve(np.full(len(X), 0.3))})
    assert find_milestones(run(llc=llc)).kind.values.tolist() == ["maximum"]


def test_the_curvature_of_an_ellipse_is_greatest_at_the_ends_of_its_long_axis():
    angle = np.pi * X / X[-1] * 1.5 - np.pi / 4  # passes the long axis at 0 and π
    plane = np.stack([3 * np.cos(angle), np.sin(angle)], axis=1)
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 2)))[0].T
    ed = essential_dynamics(
        xr.DataArray(plane @ directions, dims=("step", "feature"), coords={"step": STEPS}), n_components=2
    )
    found = find_milestones(log_curvature(ed))
    tops = np.log1p(found.step.values[found.kind.values == "maximum"])
    np.testing.assert_allclose(tops, X[-1] / 1.5 * np.array([0.25, 1.25]), atol=0.15)


def test_arrays_that_are_no_curve_over_steps_are_refused():
    heads = xr.DataArray(np.ones((140, 2)), dims=("step", "head"), coords={"step": STEPS})
    with pytest.raises(InvalidSpec, match="one dimension step"):
        find_milestones(heads)
    with pytest.raises(InvalidSpec, match="five"):
        find_milestones(curve(HILL)[:4])
    with pytest.raises(InvalidSpec, match="3 of them for 140 values"):
        find_milestones(curve(HILL), se=curve(HILL)[:3])
    shifted = curve(HILL).assign_coords(step=STEPS + 1)
    with pytest.raises(InvalidSpec, match="at other steps"):
        find_milestones(curve(HILL), se=shifted)
    with pytest.raises(InvalidSpec, match="not be negative"):
        find_milestones(curve(HILL), se=curve(-HILL))
    with pytest.raises(InvalidSpec, match="count training from 0, got -1"):
        find_milestones(curve(HILL).assign_coords(step=STEPS - 1))
    with pytest.raises(InvalidSpec, match="steps must be numbers"):
        find_milestones(curve(HILL).assign_coords(step=STEPS.astype(str) + np.array("th")))
    with pytest.raises(NotMeasured):
        find_milestones(run(), "llc")


@pytest.mark.parametrize(
    "setting", [{"min_probability": 1.5}, {"min_persistence": -1}, {"plateau_slope": np.nan}]
)
def test_settings_of_milestones_that_cannot_be_are_refused(setting):
    with pytest.raises(InvalidSpec, match=f"{next(iter(setting))} lies between 0 and"):
        find_milestones(curve(HILL), **setting)


def test_an_unknown_error_counts_as_none():
    errors = curve(np.where(np.arange(len(X)) % 2, np.nan, 0.0))
    xr.testing.assert_identical(
        find_milestones(curve(HILL + noise()), se=errors), find_milestones(curve(HILL + noise()))
    )


def intervals(*pairs: tuple[float, float]) -> xr.Dataset:
    lower, upper = np.expm1(np.array(pairs).reshape(-1, 2).T)
    middle = np.expm1(np.array([(a + b) / 2 for a, b in pairs]))
    return xr.Dataset({"step": ("m", middle), "lower": ("m", lower), "upper": ("m", upper)})


def between(one: xr.Dataset, other: xr.Dataset) -> tuple[float, float]:
    found = agreement({"one": one, "other": other}, first_step=0, last_step=np.expm1(10))
    pair = {"curve_name": "one", "other": "other"}
    return found.shared.sel(pair).item(), found.chance.sel(pair).item()


def test_boundaries_agree_where_their_intervals_touch():
    assert between(intervals((2, 3), (6, 7)), intervals((2.5, 4)))[0] == 0.5
    assert between(intervals((2, 3)), intervals((3.1, 4)))[0] == 0


def test_chance_is_the_share_of_places_at_which_an_interval_would_touch():
    """An interval of 1 fits in 0 … 10 at starts 0 … 9; it touches 4 … 5 from starts 3 … 5."""
    assert between(intervals((0, 1)), intervals((4, 5)))[1] == pytest.approx(2 / 9)
    assert between(intervals((0, 1)), intervals((4, 5), (4.5, 5.5)))[1] == pytest.approx(2.5 / 9)
    assert between(intervals((0, 10)), intervals((4, 5)))[1] == 1
    assert between(intervals((0, 1)), intervals())[1] == 0


def test_the_p_value_is_the_chance_of_sharing_so_many_or_more():
    """One interval of 1 that touches 4 … 5 from two of nine places: both of two do so by chance in (2/9)²."""
    found = agreement(
        {"one": intervals((3.5, 4.5), (4.5, 5.5)), "other": intervals((4, 5))},
        first_step=0,
        last_step=np.expm1(10),
    )
    assert found.p_value.sel(curve_name="one", other="other").item() == pytest.approx((2 / 9) ** 2)
    assert found.p_value.sel(curve_name="other", other="one").item() == pytest.approx(3 / 9)


def test_without_a_run_the_axis_ends_with_the_intervals():
    found = agreement({"a": intervals((5, 6)), "b": intervals((7, 9))})
    assert np.log1p([found.attrs["first_step"], found.attrs["last_step"]]) == pytest.approx([5, 9])
    with pytest.raises(InvalidSpec, match="a: expected step, lower, upper"):
        agreement({"a": xr.Dataset({"end": ("stage", [1.0])}), "b": intervals((7, 9))})
    with pytest.raises(InvalidSpec, match="a: expected step, lower, upper"):
        agreement({"a": [1.0], "b": intervals((7, 9))})  # pyright: ignore[reportArgumentType]


def test_a_text_is_no_list_of_curves_and_a_curve_is_not_compared_with_itself():
    whole = dx.open("deep_linear")
    with pytest.raises(InvalidSpec, match=r"names such as \['llc', 'loss'\], got the text 'llc'"):
        agreement(whole, "llc")
    with pytest.raises(InvalidSpec, match="loss and test_loss are the same curve of deep_linear"):
        agreement(whole, ["loss", "llc", "test_loss"])


def test_curves_without_boundaries_reach_from_zero_to_zero():
    none = intervals()
    ends = agreement({"a": none, "b": none}).attrs
    assert [np.copysign(1, ends[name]) for name in ("first_step", "last_step")] == [1, 1]


def test_intervals_that_are_none_and_boundaries_outside_the_ends_are_refused():
    for wrong in (intervals((3, 2)), intervals((np.nan, 2))):
        with pytest.raises(InvalidSpec, match="a: expected finite steps, and intervals"):
            agreement({"a": wrong, "b": intervals((7, 9))})
    with pytest.raises(InvalidSpec, match="outside 0 … 100"):
        agreement({"a": intervals((2, 3)), "b": intervals((7, 9))}, first_step=0, last_step=100)
    nobody = agreement({"a": intervals(), "b": intervals()})
    assert np.isnan(nobody.shared.values).all()


def test_chance_is_what_random_intervals_share():
    rng = np.random.default_rng(0)
    other = intervals((2, 2.6), (5, 6))
    shares = []
    for start in rng.uniform(0, 9.5, 300):
        share, chance = between(intervals((start, start + 0.5)), other)
        shares.append(share)
    assert np.mean(shares) == pytest.approx(chance, abs=4 * (chance * (1 - chance) / 300) ** 0.5)


def test_every_boundary_is_listed_in_the_order_of_training_with_its_curve():
    found = agreement({"b": intervals((5, 6)), "a": intervals((1, 2), (8, 9))})
    assert found.curve.values.tolist() == ["a", "b", "a"]
    assert np.isnan(found.shared.sel(curve_name="a", other="a").item())


def test_a_curve_that_cannot_be_judged_is_told_and_one_alone_has_nobody_to_agree_with():
    planted = run(
        llc=xr.Dataset({"llc": curve(HILL + noise()), "llc_se": curve(np.full(len(X), 0.3))}),
        losses=xr.Dataset({"test_loss": curve(HILL + noise(1))}),
    )
    found = agreement(planted)
    assert set(found.attrs["without"]) == {"curvature"}
    assert found.curve_name.values.tolist() == ["llc", "loss"]
    assert found.attrs["last_step"] == pytest.approx(STEPS[-1])
    with pytest.raises(InvalidSpec, match="no curve 'los'"):
        agreement(planted, ["llc", "los"])
    assert found.shared.sel(curve_name="llc", other="loss").item() == 1
    with pytest.raises(InvalidSpec, match="at least two curves, got 1"):
        agreement(planted, ["llc"])


def test_of_a_single_checkpoint_no_curve_can_be_judged_and_each_says_why():
    llc = xr.Dataset({"llc": curve(HILL), "llc_se": curve(np.ones(len(X)))}).isel(step=[0])
    with pytest.raises(InvalidSpec, match="two curves, got 0; llc: a curve needs at least five"):
        agreement(run(llc=llc, losses=xr.Dataset({"test_loss": curve(HILL)}).isel(step=[0])))
