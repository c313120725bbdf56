"""When predictions are learned: planted half-way steps are found, fates are told apart, groups are stages."""

import numpy as np
import pytest
import xarray as xr

import devexplore as dx
from devexplore.analysis import when_learned
from devexplore.analysis.learning_steps import learning_steps
from devexplore.errors import InvalidSpec

STEPS = np.unique(np.concatenate([np.arange(10), np.geomspace(10, 14_000, 130).round()])).astype(int)
X = np.log1p(STEPS)


def fall(step: float, early: float = 6.0, late: float = 1.0, width: float = 0.25) -> np.ndarray:
    """A loss that falls from early to late, half-way at this step."""
    return late + (early - late) / (1 + np.exp((X - np.log1p(step)) / width))


def losses_of(
    histories: list, sequences: int = 1, noise: float = 0.0, texts: list | None = None
) -> xr.Dataset:
    """Histories as the positions of each of the sequences, in the order given."""
    values = np.stack(histories, axis=1).reshape(len(STEPS), sequences, -1)
    values = values + noise * np.random.default_rng(0).normal(size=values.shape)
    place = ("sequence", "position")
    data = {"token_loss": (("step", *place), values.astype(np.float32), {"units": "nats"})}
    if texts is not None:
        words = np.array(texts, dtype=object).reshape(values.shape[1:])
        data |= {"target_text": (place, words), "token_text": (place, np.roll(words, 1, axis=1))}
    return xr.Dataset(data, coords={"step": STEPS})


def stages_of(*edges: int) -> xr.Dataset:
    names = np.array([f"S{i + 1}" for i in range(len(edges) - 1)], dtype=object)
    return xr.Dataset(
        {"start": ("stage", list(edges[:-1])), "end": ("stage", list(edges[1:])), "name": ("stage", names)}
    )


@pytest.mark.parametrize("late", [0.0, 1.0, 4.0])
def test_the_half_way_step_of_a_planted_fall_is_found(late: float) -> None:
    planted = np.array([12.0, 60.0, 700.0, 3_000.0])
    found = learning_steps(losses_of([fall(step, late=late) for step in planted]))
    np.testing.assert_allclose(np.log1p(found["learned_step"].values[0]), np.log1p(planted), atol=0.02)
    np.testing.assert_allclose(found["early"].values[0], 6.0, atol=0.1)  # the first falls near the start
    np.testing.assert_allclose(found["late"].values[0], late, atol=0.1)
    assert (found["fate"] == "learned").all()


def test_half_way_steps_stand_against_the_noise_of_real_losses() -> None:
    """Noise of sd σ = 0.5 nats at each checkpoint, as on the bundled language run. A crossing of an isotonic
    fit errs on the scale (σ²·dx / slope²)^⅓ (cube-root asymptotics, Groeneboom & Jongbloed 2014, ch. 3), here
    0.08 in ln(1 + step), with a spread of Chernoff's law, about 0.8 of it.
    """
    planted = np.tile([20.0, 200.0, 2_000.0], 100)
    found = learning_steps(losses_of([fall(step) for step in planted], noise=0.5))
    off = np.abs(np.log1p(found["learned_step"].values[0]) - np.log1p(planted))
    scale = (0.5**2 * np.diff(X)[-1] / (5 / (4 * 0.25)) ** 2) ** (1 / 3)
    assert np.median(off) < scale
    assert np.quantile(off, 0.95) < 3 * scale


def test_never_learned_learned_and_unlearned_are_told_apart() -> None:
    flat, rising = np.full(len(X), 6.0), fall(100, early=5.0, late=7.0)
    relearned = fall(50) + 1.0 / (1 + np.exp(-(X - 8) / 0.2))  # a fifth of the fall is lost again
    lost = fall(50) + 4.0 / (1 + np.exp(-(X - 8) / 0.2))
    small = fall(50, early=6.0, late=5.7)
    found = learning_steps(losses_of([flat, rising, fall(50), relearned, lost, small], noise=0.02))
    assert found["fate"].values[0].tolist() == [
        "never learned", "never learned", "learned", "learned", "unlearned", "never learned",
    ]  # fmt: skip
    np.testing.assert_array_equal(np.isfinite(found["learned_step"].values[0]), found["fate"][0] == "learned")
    assert learning_steps(losses_of([small]), min_fall=0.1)["fate"].item() == "learned"


def test_a_prediction_with_a_missing_loss_has_no_fate() -> None:
    losses = losses_of([fall(50), fall(60)])
    losses["token_loss"][20, 0, 1] = np.nan
    found = learning_steps(losses)
    assert found["fate"].values[0].tolist() == ["learned", ""]
    assert np.isnan(found["learned_step"].values[0, 1])
    groups = when_learned(losses, stages_of(0, 14_000))
    assert groups["group_index"].values[0].tolist() == [0, -1]
    assert groups["group_name"].values[0].tolist() == ["S1", ""]


def test_what_is_too_short_or_asks_for_nothing_is_refused() -> None:
    losses = losses_of([fall(50)])
    with pytest.raises(InvalidSpec, match="three checkpoints"):
        learning_steps(losses.isel(step=slice(2)))
    with pytest.raises(InvalidSpec, match=r"min_fall.* must be a finite number above 0"):
        learning_steps(losses, min_fall=0.0)
    with pytest.raises(InvalidSpec, match=r"bandwidth.* must be a finite number above 0"):
        learning_steps(losses, bandwidth=0.0)
    with pytest.raises(InvalidSpec, match="at least one stage"):
        when_learned(losses, stages_of(0))
    without_end = stages_of(0, 9).drop_vars("end")
    for other, got in (("S1", "str"), (without_end, "only start, name"), (losses, "only")):
        with pytest.raises(
            InvalidSpec, match=rf"expected stages with name, start, end over stage.* got {got}"
        ):
            when_learned(losses, other)
    for name in ("n_typical", "n_examples", "context"):
        with pytest.raises(InvalidSpec, match=f"{name} must be a whole number of at least 0, got -1"):
            when_learned(losses, stages_of(0, 9), **{name: -1})


PLANTED = [15.0, 25.0, 150.0, 300.0, 200.0, 4_000.0]
WORDS = ["a", "b", " c", " c", " c", "7"]
FLAT = np.full(len(X), 6.0)


@pytest.fixture
def groups() -> xr.Dataset:
    """Two texts of eight predictions: two learned in S1, three in S2, one in S3, one never, one unlearned."""
    lost = fall(50) + 4.5 / (1 + np.exp(-(X - 8) / 0.2))
    one = [*(fall(step) for step in PLANTED), FLAT, lost]
    losses = losses_of([*one, *one], sequences=2, noise=0.05, texts=[*WORDS, "x", "y"] * 2)
    return when_learned(losses, stages_of(0, 40, 500, 14_000))


def test_predictions_are_grouped_by_the_stage_of_their_half_way_step(groups: xr.Dataset) -> None:
    assert groups["group"].values.tolist() == ["S1", "S2", "S3", "never learned", "unlearned"]
    assert groups["group_index"].values.tolist() == [[0, 0, 1, 1, 1, 2, 3, 4]] * 2
    assert groups["count"].values.tolist() == [4, 6, 2, 2, 2]
    np.testing.assert_allclose(groups["share"], np.array([4, 6, 2, 2, 2]) / 16)
    assert groups["group_start"].values[:3].tolist() == [0, 40, 500]
    assert np.isnan(groups["group_end"].values[3:]).all()


def test_the_groups_are_a_table_of_token_step_and_stage_in_one_line(groups: xr.Dataset) -> None:
    table = groups[["target_text", "learned_step", "group_name"]].to_dataframe()
    in_s1 = table.query("group_name == 'S1'")
    assert in_s1.index.tolist() == [(0, 0), (0, 1), (1, 0), (1, 1)]
    np.testing.assert_allclose(in_s1["learned_step"], [*PLANTED[:2]] * 2, rtol=0.05)
    assert in_s1["target_text"].tolist() == WORDS[:2] * 2
    assert (
        table["group_name"].tolist() == groups["group"].values[groups["group_index"].values.ravel()].tolist()
    )
    assert groups.attrs["grouping"] == "stages"


def test_the_mean_history_is_that_of_the_members(groups: xr.Dataset) -> None:
    wanted = np.mean([fall(step) for step in PLANTED[2:5]], axis=0)
    for name, mean, members in (("S2", wanted, 6), ("never learned", 6.0, 2)):
        five_sd = 5 * 0.05 / np.sqrt(members)
        np.testing.assert_allclose(groups["mean_loss"].sel(group=name), mean, atol=five_sd)
    assert groups["mean_loss"].attrs["units"] == "nats"
    assert (groups["mean_loss_se"].sel(group="S2") < 0.1).all()


def test_a_group_names_its_tokens_and_classes(groups: xr.Dataset) -> None:
    second, third = (groups.sel(group=name) for name in ("S2", "S3"))
    assert second["typical_token"].values.tolist() == [" c", *[""] * 7]
    assert second["typical_count"].values[0] == 6
    # 6 of 6 where 6 of 16 are so: (6 − 6·3/8) / √(6 · 3/8 · 5/8)
    assert second["typical_excess"].values[0] == pytest.approx(3.75 / np.sqrt(6 * 15 / 64))
    assert second["class_share"].sel(token_class="leading space") == 1
    assert third["class_share"].sel(token_class="digit") == 1
    assert groups["class_share_all"].sel(token_class="leading space").item() == pytest.approx(6 / 16)


def test_examples_are_members_and_tell_the_text_before_them(groups: xr.Dataset) -> None:
    for place, name in enumerate(groups["group"].values):
        one = groups.sel(group=name)
        there = one["example_position"].values >= 0
        assert there.any()
        for sequence, position, target, context in zip(
            *(one[f"example_{part}"].values[there] for part in ("sequence", "position", "target", "context")),
            strict=True,
        ):
            assert groups["group_index"].values[sequence, position] == place
            assert groups["target_text"].values[sequence, position] == target
            assert context.endswith(groups["token_text"].values[sequence, position])
    # Of 150, 200 and 300 the one in the middle is nearest to their mean.
    assert groups["example_position"].sel(group="S2").values[0] == 4


def test_a_group_without_members_is_there_and_says_so(groups: xr.Dataset) -> None:
    empty = when_learned(losses_of([fall(50)]), stages_of(0, 100, 14_000)).sel(group="S2")
    assert empty["count"] == 0
    assert np.isnan(empty["mean_loss"]).all()
    assert (empty["example_position"] == -1).all()


def test_the_same_prediction_is_in_the_same_group_whatever_else_is_measured() -> None:
    stages = stages_of(0, 40, 500, 14_000)
    losses = losses_of([fall(step) for step in PLANTED], noise=0.05)
    everything = when_learned(losses, stages)["group_index"]
    for position in range(6):
        alone = when_learned(losses.isel(position=[position]), stages)["group_index"]
        assert alone.item() == everything.values[0, position]


def test_without_stages_the_quarters_of_the_learned_take_their_place() -> None:
    losses = losses_of([fall(step) for step in np.geomspace(20, 5_000, 12)])
    found = when_learned(losses)
    assert found["count"].values.tolist() == [3, 3, 3, 3, 0, 0]
    assert (np.diff(found["group_start"].values[:4]) > 0).all()
    assert found.attrs["grouping"].startswith(
        "quarters of the learned predictions by their step, as no stages"
    )
    named = when_learned(losses.assign_attrs(run="theirs"))
    assert "give those of the run theirs, stages=" in named.attrs["grouping"]
    nothing = when_learned(losses_of([FLAT]))
    assert nothing["count"].values.tolist() == [0, 0, 0, 0, 1, 0]


def test_a_run_without_text_is_grouped_without_tokens_and_classes() -> None:
    run = dx.open("deep_linear")
    found = when_learned(run)
    assert int(found["count"].sum()) == 4
    assert not {"class_share", "typical_token", "example_target"} & set(found)


def test_deep_linear_modes_are_learned_strongest_first() -> None:
    """Saddle to saddle: the time at which a mode is learned falls with its strength (Saxe et al. 2014)."""
    run = dx.open("deep_linear")
    strength = run.dataset("probe")["teacher_value"].values
    step = learning_steps(run)["learned_step"].values[:, 0]
    assert (np.diff(step[np.argsort(-strength)]) > 0).all()


def test_what_the_bundled_language_run_learns_late_is_what_induction_predicts() -> None:
    """What is learned after step 400 (previous-token and induction heads form) is more often predicted by
    induction than the rest, and what is unlearned is more often misled by it: by 10 percentage points each.
    """
    found = when_learned(dx.open("language"), stages_of(0, 40, 400, 14_000))
    share, everything = found["class_share"], found["class_share_all"]
    late = share.sel(group="S3", token_class="induction")
    assert late > everything.sel(token_class="induction") + 0.1
    misled = share.sel(group="unlearned", token_class="induction would mislead")
    assert misled > everything.sel(token_class="induction would mislead") + 0.1
