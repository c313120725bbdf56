"""Readings of forms that were planted: what a predictor was made to favour is what it is read to favour."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.analysis.form_readings import (
    predicted_classes,
    ranked_contexts,
    ranked_tokens,
    read_form,
    target_classes,
)
from devexplore.analysis.reference_distances import reference_distances
from devexplore.errors import InvalidSpec
from devexplore.measure.reading import read_predictions
from devexplore.stats.token_classes import continuations

TEXTS = ["a", " the", "\n", "7", "+", "b", " of", "c"]
POSITIONS = np.arange(1, 24, 2)


def lift_of(bonus: np.ndarray, seed: int = 0, sequences: int = 16) -> xr.Dataset:
    """A lift whose ``lifted`` logits are those of ``nearest`` plus a bonus."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(len(TEXTS), size=(sequences, 25))
    base = rng.normal(size=(sequences, len(POSITIONS), len(TEXTS)))
    logits = np.stack([base + bonus, base, np.zeros_like(base), 2 * base])
    lifted = read_predictions(logits, ids, POSITIONS, TEXTS, 4, sequences)
    return lifted.assign_coords(
        predictor=["lifted", "nearest", "start", "end"], predictor_step=("predictor", [7.5, 7, 0, 99])
    )


def ids_of(lifted: xr.Dataset) -> np.ndarray:
    return lifted["context_id"].values


def test_a_form_that_wants_a_leading_space_is_read_so() -> None:
    reading = read_form(lift_of(2.0 * np.array([text.startswith(" ") for text in TEXTS])))
    assert reading.predicted_classes.predicted_class.values[0] == "leading space"
    assert reading.target_classes.target_class.values[0] == "leading space"
    assert set(reading.favoured_tokens.token_text.values) == {" the", " of"}
    assert set(reading.favoured_contexts.target_text.values) <= {" the", " of"}
    first = reading.predicted_classes.isel(predicted_class=0)
    assert float(first.mass_change) > 10 * float(first.mass_change_se)


def test_a_form_that_copies_by_induction_is_read_so_and_not_where_that_would_mislead() -> None:
    ids = ids_of(lift_of(np.zeros(len(TEXTS))))
    reading = read_form(lift_of(1.5 * continuations(ids, POSITIONS, len(TEXTS))))
    assert reading.target_classes.target_class.values[0] == "induction"
    change = reading.target_classes["log_prob_change"]
    assert float(change.sel(target_class="induction")) > 0.3
    assert float(change.sel(target_class="induction would mislead")) < 0
    mass = reading.predicted_classes["mass_change"]
    assert float(mass.sel(predicted_class="induction")) == float(mass.max())


def test_changes_are_differences_of_log_probability_and_of_mass() -> None:
    lifted = lift_of(np.linspace(-1, 1, len(TEXTS)))
    log_prob = lifted["target_log_prob"]
    change = (log_prob.sel(predictor="lifted") - log_prob.sel(predictor="end")).values
    table = target_classes(lifted, "end")
    member = lifted["target_is"].sel(target_class="digit").values
    assert float(table.log_prob_change.sel(target_class="digit")) == pytest.approx(change[member].mean())
    assert int(table["count"].sel(target_class="digit")) == member.sum()
    assert float(table.log_prob_change.sel(target_class="every position")) == pytest.approx(change.mean())
    mass = lifted["class_mass"].mean(["sequence", "position"]).sel(predicted_class="newline")
    row = predicted_classes(lifted, "end").sel(predicted_class="newline")
    assert float(row.mass_change) == pytest.approx(
        float(mass.sel(predictor="lifted") - mass.sel(predictor="end"))
    )


def test_contexts_are_ranked_by_what_their_target_gains_with_the_text_before_them() -> None:
    lifted = lift_of(np.linspace(-1, 1, len(TEXTS)))
    table = ranked_contexts(lifted, n=6)
    gains = table.log_prob_change.values
    assert (np.diff(gains) <= 0).all()
    for row in range(6):
        place = {"sequence": int(table.sequence[row]), "position": int(table.position[row])}
        words = lifted["context_text"].isel(sequence=place["sequence"]).values
        assert table.context.values[row].endswith(words[place["position"]])
        assert table.target_text.values[row] == words[place["position"] + 1]
        here = lifted.isel(sequence=place["sequence"]).sel(position=place["position"])
        log_prob = here["target_log_prob"]
        assert gains[row] == pytest.approx(
            float(log_prob.sel(predictor="lifted") - log_prob.sel(predictor="nearest"))
        )
        assert table.divergence.values[row] == float(here["divergence"].sel(predictor="nearest"))
        assert table.top_text.values[row, 0] == here["top_text"].sel(predictor="lifted").values[0]


def test_what_is_favoured_over_a_predictor_is_what_that_is_disfavoured_by() -> None:
    lifted = lift_of(np.linspace(-1, 1, len(TEXTS)))
    favoured = ranked_tokens(lifted, "nearest", n=100, direction="favoured")
    disfavoured = ranked_tokens(lifted, "nearest", n=100, direction="disfavoured")
    assert favoured.sizes["rank"] + disfavoured.sizes["rank"] == len(TEXTS)
    total = favoured.probability_change.sum() + disfavoured.probability_change.sum()
    assert float(total) == pytest.approx(0, abs=1e-6)


def test_a_form_that_is_its_reference_favours_nothing() -> None:
    reading = read_form(lift_of(np.zeros(len(TEXTS))))
    assert (reading.predicted_classes.mass_change == 0).all()
    assert reading.favoured_tokens.sizes["rank"] == reading.disfavoured_contexts.sizes["rank"] == 0


def test_the_standard_error_is_the_scatter_of_the_mean_over_new_texts() -> None:
    bonus = np.linspace(-1, 1, len(TEXTS))
    rows = [target_classes(lift_of(bonus, seed)).sel(target_class="digit") for seed in range(100)]
    scatter = np.std([float(row.log_prob_change) for row in rows], ddof=1)
    stated = np.mean([float(row.log_prob_change_se) for row in rows])
    assert 0.8 < stated / scatter < 1.25  # 100 texts know their own scatter to 7 %


def test_a_class_in_few_texts_has_the_standard_error_of_its_ratio() -> None:
    lifted = lift_of(np.linspace(-1, 1, len(TEXTS)), sequences=32)
    member = lifted["target_is"].values  # sequence, position, target_class
    digit = list(lifted["target_class"].values).index("digit")
    member[3:, :, digit] = False
    change = lifted["target_log_prob"].sel(predictor="lifted") - lifted["target_log_prob"].sel(
        predictor="end"
    )
    inside = member[..., digit]
    total, count = np.where(inside, change.values, 0).sum(axis=1), inside.sum(axis=1)
    assert (count > 0).sum() == 3
    row = target_classes(lifted, "end").sel(target_class="digit")
    residual = total - float(row.log_prob_change) * count
    expected = np.sqrt(32 / 31 * (residual**2).sum()) / count.sum()
    assert float(row.log_prob_change_se) == pytest.approx(expected, rel=1e-6)


def test_one_text_has_means_but_no_standard_errors() -> None:
    lifted = lift_of(np.linspace(-1, 1, len(TEXTS)), sequences=1)
    reading = read_form(lifted)
    assert np.isfinite(reading.predicted_classes.mass_change).all()
    assert np.isnan(reading.predicted_classes.mass_change_se).all()
    assert np.isnan(reading.favoured_tokens.probability_change_se).all()


@settings(max_examples=20)
@given(st.permutations(range(16)))
def test_the_order_of_texts_changes_no_ranking(order: list[int]) -> None:
    lifted = lift_of(np.linspace(-1, 1, len(TEXTS)))
    shuffled = lifted.isel(sequence=order)
    np.testing.assert_allclose(
        predicted_classes(shuffled).mass_change, predicted_classes(lifted).mass_change, atol=1e-12
    )
    assert list(ranked_tokens(shuffled).token_text.values) == list(ranked_tokens(lifted).token_text.values)


def test_the_path_is_the_reference_where_there_is_one() -> None:
    lifted = lift_of(np.linspace(-1, 1, len(TEXTS)))
    assert read_form(lifted).reference == "nearest"
    renamed = lifted.assign_coords(predictor=["lifted", "path", "start", "end"])
    assert read_form(renamed).reference == "path"


def test_what_cannot_be_compared_is_refused_in_words() -> None:
    lifted = lift_of(np.zeros(len(TEXTS)))
    with pytest.raises(InvalidSpec, match="one of nearest, start, end, got 'middle'"):
        read_form(lifted, "middle")
    with pytest.raises(InvalidSpec, match="'favoured' or 'disfavoured'"):
        ranked_contexts(lifted, direction="liked")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidSpec, match="reference_distances"):
        read_form(lifted.drop_vars("target_log_prob"))
    with pytest.raises(InvalidSpec, match="read_form"):
        reference_distances(lifted)


def test_distances_to_ideals_are_mean_squares_at_each_position() -> None:
    rng = np.random.default_rng(0)
    ideal = np.stack([np.zeros((400, 3)), rng.normal(size=(400, 3))])
    prediction = np.stack([ideal[1] + 0.1, ideal[0]])
    lifted = xr.Dataset(
        {
            "prediction": (("predictor", "sequence", "position"), prediction),
            "reference": (("ideal", "sequence", "position"), ideal),
        },
        coords={"predictor": ["lifted", "start"], "ideal": ["zero", "ridge"]},
        attrs={"system": "regression"},
    )
    found = reference_distances(lifted)
    np.testing.assert_allclose(found.distance.sel(predictor="lifted", ideal="ridge"), 0.01)
    np.testing.assert_allclose(found.distance.sel(predictor="start", ideal="zero"), 0)
    square = ideal[1] ** 2
    np.testing.assert_allclose(found.distance.sel(predictor="start", ideal="ridge"), square.mean(0))
    np.testing.assert_allclose(
        found.distance_se.sel(predictor="start", ideal="ridge"), square.std(0, ddof=1) / 20
    )
    lifted.attrs["system"] = "deep_linear"
    assert np.isnan(reference_distances(lifted).distance_se).all()
