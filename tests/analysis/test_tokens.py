"""Loss changes between steps, and the rankings made from them."""

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis import loss_change, most_changed, most_changed_tokens
from devexplore.errors import InvalidSpec

STEPS = np.array([0, 10, 100, 1000])


@pytest.fixture
def losses() -> xr.Dataset:
    values = np.random.default_rng(0).uniform(1, 5, size=(4, 6, 8)).astype(np.float32)
    return xr.Dataset(
        {"token_loss": (("step", "sequence", "position"), values, {"units": "nats"})},
        {"step": STEPS, "sequence": np.arange(6), "position": np.arange(8)},
    )


@pytest.fixture
def probe() -> xr.Dataset:
    text = np.array([f"t{i % 5}" for i in range(48)], dtype=object).reshape(6, 8)
    return xr.Dataset(
        {
            "token_text": (("sequence", "position"), text),
            "target_text": (("sequence", "position"), text[::-1]),
        }
    )


def test_a_loss_change_is_after_less_before_so_negative_where_the_loss_fell(losses) -> None:
    change = loss_change(losses, 10, 1000)
    before, after = losses.token_loss.sel(step=10).values, losses.token_loss.sel(step=1000).values
    np.testing.assert_allclose(change.values, after.astype(float) - before.astype(float))
    assert change.attrs["units"] == "nats"
    np.testing.assert_allclose(loss_change(losses, 1000, 10).values, -change.values)
    assert (loss_change(losses, 100, 100) == 0).all()


def test_steps_between_checkpoints_stand_for_the_nearest_in_log_time(losses) -> None:
    change = loss_change(losses, 25, 40_000)
    assert (change.attrs["step_from"], change.attrs["step_to"]) == (10, 1000)


def test_rankings_list_the_strongest_true_changes_first(losses, probe) -> None:
    change = loss_change(losses, 0, 1000)
    improved = most_changed(change, probe, n=5)
    worsened = most_changed(change, probe, n=1000, direction="worsened")
    np.testing.assert_allclose(improved.loss_change, np.sort(change.values, axis=None)[:5])
    assert (worsened.loss_change > 0).all()
    assert worsened.sizes["rank"] == int((change > 0).sum())
    for row in range(5):
        place = {"sequence": int(improved.sequence[row]), "position": int(improved.position[row])}
        assert float(change.sel(place)) == pytest.approx(float(improved.loss_change[row]))
        assert improved.target_text.values[row] == probe.target_text.isel(place).item()


def test_values_that_are_missing_are_never_ranked(losses) -> None:
    change = loss_change(losses, 0, 1000)
    change[0, 0] = np.nan
    assert np.isfinite(most_changed(change, n=100).loss_change).all()


def test_tokens_are_ranked_by_their_mean_over_occurrences(losses, probe) -> None:
    change = loss_change(losses, 0, 1000)
    change[:] = np.where(probe.target_text == "t3", -2.0, 0.5)
    change[0, 0] = np.nan
    table = most_changed_tokens(change, probe)
    assert table.target_text.values.tolist() == ["t3"]
    assert float(table.loss_change[0]) == -2
    assert float(table.loss_change_se[0]) == 0
    assert most_changed_tokens(change, probe, direction="worsened").sizes["rank"] == 4
    assert most_changed_tokens(change, probe, min_count=100).sizes["rank"] == 0


def test_a_probe_without_text_and_an_unknown_direction_are_refused(losses, probe) -> None:
    change = loss_change(losses, 0, 1000)
    with pytest.raises(InvalidSpec, match="target_text"):
        most_changed_tokens(change, probe.drop_vars("target_text"))
    with pytest.raises(InvalidSpec, match="direction"):
        most_changed(change, direction="up")
