"""Losses of one's own text: those of the probe where it is the probe's, whole and once where it is longer."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import devexplore as dx
from devexplore.errors import CheckpointNotFound, InvalidSpec
from devexplore.measure.own_text import _windows, token_losses
from devexplore.measure.subject import Subject

Runs = Callable[[str], Path]
CONTEXT = 8  # of the smallest language run


@pytest.fixture
def run(trained_run: Runs) -> dx.Run:
    return dx.open(trained_run("language"))


def ids_of(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 250, size=length)


def test_the_probes_own_tokens_have_the_probes_own_losses(run: dx.Run) -> None:
    dx.measure(run, [dx.TokenLosses()], progress=False)
    probe, losses = run.dataset("probe").load(), run.dataset("losses")["token_loss"]
    ids = np.concatenate([probe["token_id"].values, probe["target_id"].values[:, -1:]], axis=1)
    own = token_losses(run, ids)
    np.testing.assert_array_equal(own["token_loss"].values, losses.values)
    np.testing.assert_array_equal(own["step"].values, losses["step"].values)
    for name in ("token_id", "target_id", "token_text", "target_text"):
        np.testing.assert_array_equal(own[name].values, probe[name].values)


def test_typed_text_is_the_tokens_that_it_is_made_of(run: dx.Run) -> None:
    text = "the cat"
    tokenizer = Subject(run, torch.device("cpu")).system.tokenizer
    own = token_losses(run, text)
    assert "".join([own["token_text"].values[0, 0], *own["target_text"].values[0]]) == text
    by_ids = token_losses(run, np.array(tokenizer.encode(text).ids))
    np.testing.assert_array_equal(own["token_loss"].values, by_ids["token_loss"].values)


def test_any_character_can_be_read(run: dx.Run) -> None:
    own = token_losses(run, "猫\x00é")
    assert own["token_loss"].shape[1:] == (1, 5)  # six bytes, each a token of so small a vocabulary
    assert np.isfinite(own["token_loss"]).all()


@given(st.integers(2, 200), st.integers(1, 30), st.data())
def test_windows_hold_each_prediction_once_with_the_overlap_before_it(length, context, data) -> None:
    overlap = data.draw(st.integers(0, context - 1))
    windows = _windows([list(range(length))], context, overlap)
    counted = []
    for window in windows:
        assert window.ids == list(range(window.start, window.start + len(window.ids)))
        assert len(window.ids) == min(context, length - 1) + 1
        counted += window.ids[window.counted_from + 1 :]
        if window.start > 0:
            assert window.counted_from >= overlap
    assert counted == list(range(1, length))


def test_a_long_text_is_read_in_windows_each_loss_from_the_text_before_it(run: dx.Run) -> None:
    ids = ids_of(3 * CONTEXT + 3)
    own = token_losses(run, ids)
    assert own["first_token"].values.tolist() == [0, 4, 8, 12, 16, 18]
    assert np.isfinite(own["token_loss"][0]).sum() == len(ids) - 1
    subject = Subject(run, torch.device("cpu"))
    step = int(own["step"][-1])
    model = subject.load(step)
    for sequence, start in enumerate(own["first_token"].values):
        window = torch.from_numpy(ids[start : start + CONTEXT + 1])[None]
        with torch.no_grad():
            wanted = subject.system.position_loss(model, (window,)).numpy()[0]
        found = own["token_loss"].sel(step=step).values[sequence]
        counted = np.isfinite(found)
        np.testing.assert_allclose(found[counted], wanted[counted], rtol=1e-5)
        np.testing.assert_array_equal(own["target_id"].values[sequence], ids[start + 1 : start + CONTEXT + 1])


def test_texts_of_several_lengths_do_not_touch_each_other(run: dx.Run) -> None:
    texts = ["the cat sat on the mat, the dog on the log.", "the dog", "cat"]
    together = token_losses(run, texts)
    for number, text in enumerate(texts):
        alone = token_losses(run, text)
        mine = together.isel(sequence=together["text"].values == number)
        width = alone.sizes["position"]
        np.testing.assert_allclose(mine["token_loss"][..., :width], alone["token_loss"], rtol=1e-5)
        assert np.isnan(mine["token_loss"][..., width:]).all()
        assert (mine["target_text"][:, width:] == "").all()


def test_a_text_in_a_file_is_read_and_other_bytes_are_refused(run: dx.Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("the cat, café", encoding="utf-8")
    np.testing.assert_array_equal(
        token_losses(run, file)["token_loss"], token_losses(run, "the cat, café")["token_loss"]
    )
    file.write_text("the cat, café", encoding="utf-8-sig")  # what some editors write
    assert "".join(token_losses(run, file)["token_text"].values[0]).startswith("the cat")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidSpec, match=r"mine.txt: expected a UTF-8 text file"):
        token_losses(run, file)


def test_a_file_that_is_not_there_or_is_a_folder_is_refused(run: dx.Run, tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"gone\.txt: expected a text file, got nothing"):
        token_losses(run, tmp_path / "gone.txt")
    with pytest.raises(InvalidSpec, match="expected a text file that can be read"):
        token_losses(run, tmp_path)


def test_several_texts_may_come_as_an_array(run: dx.Run) -> None:
    texts = ["the cat", "the dog"]
    xr.testing.assert_identical(token_losses(run, np.array(texts)), token_losses(run, texts))


def test_progress_is_told_after_each_checkpoint(run: dx.Run) -> None:
    told: list[tuple[int, int, str]] = []
    own = token_losses(run, "the cat", progress=lambda *said: told.append(said))
    count = own.sizes["step"]
    assert [(done, of) for done, of, _ in told] == [(i + 1, count) for i in range(count)]


def test_everything_per_token_takes_ones_own_text(run: dx.Run) -> None:
    own = token_losses(run, "the cat sat on the mat, the dog on the log. the cat sat on the mat")
    first, last = (int(own["step"][at]) for at in (0, -1))
    change = dx.loss_change(own, first, last)
    ranked = dx.most_changed(change, n=1000)
    worsened = dx.most_changed(change, n=1000, direction="worsened")
    assert ranked.sizes["rank"] + worsened.sizes["rank"] == int(np.isfinite(change).sum())
    place = {"sequence": int(ranked["sequence"][0]), "position": int(ranked["position"][0])}
    history = dx.loss_history(own, **place)
    assert history["token_loss"][-1] - history["token_loss"][0] == pytest.approx(
        ranked["loss_change"][0].item()
    )
    assert int(dx.mean_change(change, "token")["count"].sum()) == int(np.isfinite(change).sum())
    assert int(dx.when_learned(own)["count"].sum()) == int(np.isfinite(change).sum())
    with pytest.raises(InvalidSpec, match="counted in the window before"):
        dx.loss_history(own, 1, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "at least one token"),
        ([], "at least one token"),
        (["the cat", ""], "at least one token"),
        ("a", "at least two tokens"),
        (["the cat", "a"], "one token in text 1"),
        ([1, 2, 9999], r"token ids of this run are 0 … 269, got 1 … 9999"),
        ([0.5, 1.5], "whole token ids"),
        (None, "expected a prompt as text.*got NoneType"),
        (7, "expected a prompt as text.*got int"),
        ({"the cat": 1}, "expected a prompt as text.*got dict"),
        ([[1, 2], [3]], "rows of several lengths"),
        (np.array(3), "expected a prompt as text.*got ndarray"),
        ("the \ud83d cat", r"half a surrogate pair, '\\ud83d', at character 4"),
    ],
)
def test_what_cannot_be_predicted_is_refused(run: dx.Run, text, words: str) -> None:
    with pytest.raises(InvalidSpec, match=words):
        token_losses(run, text)


@pytest.mark.parametrize("overlap", [-1, CONTEXT, 1.5, "4", True])
def test_an_overlap_that_leaves_nothing_new_is_refused(run: dx.Run, overlap) -> None:
    with pytest.raises(InvalidSpec, match=r"overlap must be (0 … 7|a whole number)"):
        token_losses(run, "the cat", overlap=overlap)


def test_runs_without_text_or_without_checkpoints_say_so(run: dx.Run, trained_run: Runs) -> None:
    with pytest.raises(InvalidSpec, match="a regression run reads no text"):
        token_losses(dx.open(trained_run("regression")), "the cat")
    shutil.rmtree(run.path / "checkpoints")
    with pytest.raises(CheckpointNotFound, match="no folder checkpoints"):
        token_losses(dx.open(run.path), "the cat")
