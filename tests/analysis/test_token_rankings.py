"""Rankings of changed predictions: by hand, by place and by group."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from devexplore.analysis import mean_change, most_changed
from devexplore.analysis.labelled_losses import classes_of, with_texts
from devexplore.errors import InvalidSpec

# Two texts of five tokens: what each position reads, and what it predicts.
READ = [["the", " cat", " the", " cat", " the"], ["a", "\n", "b", "a", "\n"]]
TARGET = [[" cat", " the", " cat", " the", " dog"], ["\n", "b", "a", "\n", "b"]]
CHANGE = [[-1.0, 0.5, -3.0, np.nan, 2.0], [-0.5, 0.25, -2.0, -4.0, 0.0]]


def change_of(values, read=READ, target=TARGET) -> xr.DataArray:
    place = ("sequence", "position")
    texts = {"token_text": (place, np.array(read, object)), "target_text": (place, np.array(target, object))}
    change = xr.DataArray(np.array(values, float), dims=place, attrs={"units": "nats", "step_from": 0})
    return with_texts(change, xr.Dataset(texts))


def test_single_predictions_are_ranked_with_the_text_before_them() -> None:
    table = most_changed(change_of(CHANGE), n=3, context=2)
    assert table["loss_change"].values.tolist() == [-4.0, -3.0, -2.0]
    assert table["sequence"].values.tolist() == [1, 0, 1]
    assert table["position"].values.tolist() == [3, 2, 2]
    assert table["target_text"].values.tolist() == ["\n", " cat", "a"]
    assert table["context"].values.tolist() == ["ba", " cat the", "\nb"]
    assert table["rank"].values.tolist() == [1, 2, 3]


def test_only_true_changes_in_the_direction_are_ranked() -> None:
    worsened = most_changed(change_of(CHANGE), n=100, direction="worsened")
    assert worsened["loss_change"].values.tolist() == [2.0, 0.5, 0.25]
    assert most_changed(change_of(np.zeros((2, 5)))).sizes["rank"] == 0
    assert most_changed(change_of(np.full((2, 5), np.nan)), by="token").sizes["rank"] == 0


@given(arrays(np.float64, (4, 6), elements=st.floats(-5, 5) | st.just(np.nan)))
def test_a_ranking_is_sorted_and_each_row_is_the_change_at_its_place(values) -> None:
    change = xr.DataArray(values, dims=("sequence", "position"))
    for direction, sign in (("improved", -1), ("worsened", 1)):
        table = most_changed(change, n=100, direction=direction)
        found = table["loss_change"].values
        assert table.sizes["rank"] == int((sign * values > 0).sum())
        assert (np.diff(sign * found) <= 0).all()
        np.testing.assert_array_equal(values[table["sequence"], table["position"]], found)


def test_means_by_token_are_those_by_hand() -> None:
    table = mean_change(change_of(CHANGE), "token")
    means = dict(zip(table["target_text"].values, table["loss_change"].values, strict=True))
    assert means == {" cat": -2.0, " the": 0.5, " dog": 2.0, "\n": -2.25, "b": 0.125, "a": -2.0}
    assert table["count"].sel(target_text=" the").item() == 1  # the other has no value
    assert np.isnan(table["loss_change_se"]).all()  # each occurs in one text only


def test_means_by_position_have_the_usual_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=(9, 5))
    table = mean_change(xr.DataArray(values, dims=("sequence", "position")), "position")
    np.testing.assert_allclose(table["loss_change"], values.mean(axis=0))
    np.testing.assert_allclose(table["loss_change_se"], values.std(axis=0, ddof=1) / 3)
    assert (table["sequences"] == 9).all()


def test_a_sequence_is_one_unit_so_its_mean_has_no_error() -> None:
    table = mean_change(change_of(CHANGE), "sequence")
    np.testing.assert_allclose(table["loss_change"], [-1.5 / 4, -6.25 / 5])
    assert np.isnan(table["loss_change_se"]).all()
    worst = most_changed(change_of(CHANGE), by="sequence")
    assert worst["sequence"].values.tolist() == [1, 0]


def test_classes_are_those_of_the_text_that_each_prediction_has_seen() -> None:
    member = classes_of(change_of(CHANGE))
    newline, induction = (
        np.argwhere(member.sel(token_class=name).values).tolist() for name in ("newline", "induction")
    )
    assert newline == [[1, 0], [1, 3]]
    # " the" → " cat" was never seen after the first " the"; "a" → newline, newline → "b" were.
    assert induction == [[0, 3], [1, 3], [1, 4]]
    assert member.sel(token_class="induction would mislead").values[0].tolist() == [False] * 4 + [True]


def test_a_prediction_counts_in_each_of_its_classes() -> None:
    table = mean_change(change_of(CHANGE), "class")
    newline = table.sel(token_class="newline")
    assert (newline["loss_change"].item(), newline["count"].item()) == (-2.25, 2)
    induction = table.sel(token_class="induction")
    assert (induction["loss_change"].item(), induction["count"].item()) == (-2.0, 2)  # one has no value
    digit = table.sel(token_class="digit")
    assert digit["count"].item() == 0
    assert np.isnan(digit["loss_change"].item())
    ranked = most_changed(change_of(CHANGE), by="class", n=2)
    assert set(ranked["token_class"].values) <= set(table["token_class"].values)
    assert "digit" not in ranked["token_class"].values


def test_tokens_that_read_alike_but_are_others_are_not_seen_before() -> None:
    values = xr.DataArray(np.zeros((1, 2)), dims=("sequence", "position"))
    place = ("sequence", "position")
    bytes_alone = (place, np.array([["�", "�"]], object))
    texts = {"token_text": bytes_alone, "target_text": bytes_alone}
    ids = {"token_id": (place, [[7, 8]]), "target_id": (place, [[8, 9]])}
    distinct, alike = (classes_of(with_texts(values, xr.Dataset(probe))) for probe in (texts | ids, texts))
    assert not distinct.sel(token_class="seen before").any()
    assert alike.sel(token_class="seen before").all()


def test_rare_tokens_are_left_out_unless_they_are_asked_for() -> None:
    assert most_changed(change_of(CHANGE), by="token").sizes["rank"] == 0
    found = most_changed(change_of(CHANGE), by="token", min_count=2)
    assert found["target_text"].values.tolist() == ["\n", " cat"]
    assert found["count"].values.tolist() == [2, 2]


def test_runs_without_text_are_ranked_by_place_and_position_and_say_why_not_by_token() -> None:
    change = xr.DataArray(np.array(CHANGE), dims=("sequence", "position"))
    assert set(most_changed(change, n=1)) == {"sequence", "position", "loss_change"}
    assert most_changed(change, by="position")["position"].values.tolist() == [3, 2, 0]
    for by in ("token", "class"):
        with pytest.raises(InvalidSpec, match="only probes of language runs have"):
            most_changed(change, by=by)


@pytest.mark.parametrize("rank", [most_changed, lambda change: mean_change(change, "position")])
def test_what_is_no_change_is_refused(rank) -> None:
    history = xr.DataArray(np.zeros((3, 2, 5)), dims=("step", "sequence", "position"))
    dataset = history.to_dataset(name="token_loss")
    for other, got in ((history, "float64 of dimensions"), (dataset, "a Dataset"), ("x", "a str")):
        with pytest.raises(InvalidSpec, match=rf"expected a change of loss .* dx.loss_change\(.* got {got}"):
            rank(other)


@pytest.mark.parametrize("by", ["place", "token"])
def test_numbers_that_are_none_are_refused(by) -> None:
    for wrong in ({"n": -1}, {"n": 1.5}, {"n": "3"}, {"context": -1}):
        (name,) = wrong
        with pytest.raises(InvalidSpec, match=f"{name} must be a whole number of at least"):
            most_changed(change_of(CHANGE), by=by, **wrong)
    with pytest.raises(InvalidSpec, match="min_count must be a whole number"):
        most_changed(change_of(CHANGE), by="token", min_count="2")


def test_a_probe_that_is_none_is_refused() -> None:
    for probe, said in (("language", "expected a run or a Dataset"), (3, "got int")):
        with pytest.raises(InvalidSpec, match=said):
            most_changed(change_of(CHANGE), probe=probe)


def test_another_direction_or_grouping_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="direction must be"):
        most_changed(change_of(CHANGE), direction="up")
    with pytest.raises(InvalidSpec, match="by must be one of token, class, position, sequence"):
        mean_change(change_of(CHANGE), "word")
