"""What single checkpoints predict: the same as their stored log-probabilities, and the true token's place."""

import numpy as np
import pytest

from devexplore.errors import InvalidSpec
from devexplore.measure.next_tokens import next_tokens
from devexplore.run import open_run


@pytest.fixture(scope="module")
def language():
    return open_run("language")


def at(run, sequence, position):
    probe = run.dataset("probe").isel(sequence=sequence)
    return probe["token_id"].values[: position + 1].tolist(), int(probe["target_id"].values[position])


def test_the_predictions_are_those_of_the_stored_outputs(language):
    stored = language.dataset("outputs/log_probs")["output"]
    ids, target = at(language, 3, 21)
    found = next_tokens(language, ids, [400, 14_000], target, top_k=4)
    for step in (400, 14_000):
        held = np.exp(stored.sel(step=step, position=21).isel(sequence=3).values.astype(float))
        here = found.sel(step=step)
        assert here["top_id"].values.tolist() == np.argsort(-held)[:4].tolist()
        np.testing.assert_allclose(here["top_probability"], np.sort(held)[::-1][:4], rtol=0.01)
        assert float(here["true_probability"]) == pytest.approx(held[target], rel=0.01)


def test_the_true_tokens_probability_is_that_of_its_loss_and_its_rank_counts_the_more_probable(language):
    ids, target = at(language, 0, 30)
    found = next_tokens(language, ids, [14_000], target, top_k=512).isel(step=0)
    loss = language.dataset("losses")["token_loss"].sel(step=14_000).isel(sequence=0, position=30)
    assert float(-np.log(found["true_probability"])) == pytest.approx(float(loss), rel=1e-2)
    assert int(found["top_id"].values[int(found["true_rank"]) - 1]) == target
    assert float(found["top_probability"].sum()) == pytest.approx(1.0)
    assert found.attrs["true_text"] == language.dataset("probe")["target_text"].values[0, 30]


@pytest.mark.parametrize(
    ("ids", "steps", "words"),
    [
        ([], [0], "at least one token"),
        ([1] * 200, [0], "at most 128"),
        ([1], [5_001], "no checkpoint at step"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(language, ids, steps, words):
    with pytest.raises(InvalidSpec, match=words):
        next_tokens(language, ids, steps, 1)


def test_a_run_without_text_is_refused():
    with pytest.raises(InvalidSpec, match="reads no text"):
        next_tokens(open_run("regression"), [1], [0], 1)
