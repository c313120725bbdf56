"""Lifting: a form at a checkpoint is that checkpoint, a typed text is a text, and combinations are exact."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import devexplore as dx
from devexplore.errors import InvalidSpec
from devexplore.measure import ensure_outputs, reading
from devexplore.measure.mixture import NEGLIGIBLE, combine, mixture
from devexplore.measure.reading import read_predictions
from devexplore.stats import affine_weights
from devexplore.stats.token_classes import PADDING

Runs = Callable[[str], Path]


def form_of(run: dx.Run, alpha: np.ndarray | None = None, step: float = 3.0, **attrs: str) -> xr.Dataset:
    """A form with these weights over the run's checkpoints; by default all of them, with both signs."""
    steps = np.array(run.checkpoints.steps)
    if alpha is None:
        alpha = np.linspace(-0.5, 1.0, len(steps))
        alpha += (1 - alpha.sum()) / len(steps)
    return xr.Dataset(
        {"weights": ("checkpoint", alpha), "step": step}, coords={"checkpoint": steps}, attrs=attrs
    )


def own_form(output: xr.DataArray, step: int) -> xr.Dataset:
    """The form that lies on one checkpoint, from its coordinates in all components."""
    ed = dx.essential_dynamics(output, n_components=10_000)
    at = int(np.flatnonzero(ed.step == step)[0])
    alpha = affine_weights(ed.weights.values, ed.score.values[at])
    return xr.Dataset(
        {"weights": ("checkpoint", alpha), "step": float(step)},
        coords={"checkpoint": ed.step.values},
        attrs={"output_kind": ed.attrs["output_kind"]},
    )


@pytest.mark.parametrize("system", ["language", "regression", "superposition", "deep_linear"])
def test_a_lift_at_a_checkpoints_own_coordinates_is_that_checkpoints_output(
    measured_run: Runs, system: str
) -> None:
    run = dx.open(measured_run(system))
    (group,) = (name for name in run.groups if name.startswith("outputs/"))
    output = run.dataset(group)["output"]
    for step in (int(output.step[1]), int(output.step[-1])):
        lifted = dx.lift(run, own_form(output, step))
        found = lifted["logits" if system == "language" else "prediction"].sel(predictor="lifted")
        np.testing.assert_allclose(found.values, output.sel(step=step).values, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def bundled_output() -> xr.DataArray:
    """Log-probabilities of every tenth checkpoint of the bundled language run."""
    return ensure_outputs(dx.open("language"))[::10]


def test_on_the_bundled_run_too(bundled_output: xr.DataArray) -> None:
    step = int(bundled_output.step[7])
    lifted = dx.lift(dx.open("language"), own_form(bundled_output, step))
    np.testing.assert_allclose(
        lifted["logits"].sel(predictor="lifted"), bundled_output.sel(step=step), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("kind", ["log_probs", "logits"])
def test_a_probe_text_typed_as_a_prompt_is_lifted_as_on_the_probe(trained_run: Runs, kind: str) -> None:
    run = dx.open(trained_run("language"))
    dx.measure(run, [dx.TokenLosses()], progress=False)  # stores the probe
    form = form_of(run, output_kind=kind)
    on_probe = dx.lift(run, form)
    ids = on_probe["context_id"].values[:, :-1]
    typed = dx.lift(run, form, prompt=ids)
    for name in ("logits", "log_prob", "divergence", "class_mass"):
        np.testing.assert_allclose(
            typed[name].sel(position=on_probe.position), on_probe[name], rtol=1e-5, atol=1e-5
        )
    # The last position's target lies behind the typed text.
    inside = on_probe.position.values[:-1]
    np.testing.assert_allclose(
        typed["target_log_prob"].sel(position=inside),
        on_probe["target_log_prob"].sel(position=inside),
        atol=1e-5,
    )


def test_a_probe_text_of_the_bundled_run_typed_as_text_is_lifted_as_on_the_probe(
    bundled_output: xr.DataArray,
) -> None:
    run = dx.open("language")
    form = own_form(bundled_output, int(bundled_output.step[7]))
    form["weights"] = 2 * form.weights - 1 / form.sizes["checkpoint"]  # as far again from the mean
    magnified = float(np.abs(form.weights).sum())
    on_probe = dx.lift(run, form)
    tokenizer_agrees = 0
    for sequence in range(8):
        tokens = on_probe["context_text"].values[sequence, :-1]
        typed = dx.lift(run, form, prompt="".join(tokens))
        if list(typed["context_text"].values[0]) != list(tokens):
            continue  # a window that begins inside a word is cut into tokens differently when typed
        tokenizer_agrees += 1
        expected = on_probe["logits"].isel(sequence=sequence)
        found = typed["logits"].isel(sequence=0).sel(position=on_probe.position)
        largest = max(float(np.abs(bundled_output).max()), 1.0)  # stored in float16: 2⁻¹¹ of that at most
        np.testing.assert_allclose(found, expected, atol=magnified * 2.0**-11 * largest)
    assert tokenizer_agrees >= 4


def test_stored_outputs_and_forward_passes_say_the_same(measured_run: Runs, trained_run: Runs) -> None:
    for system in ("language", "regression"):
        stored, fresh = dx.open(measured_run(system)), dx.open(trained_run(system))
        name = "logits" if system == "language" else "prediction"
        np.testing.assert_allclose(
            dx.lift(stored, form_of(stored))[name],
            dx.lift(fresh, form_of(fresh))[name],
            rtol=1e-5,
            atol=1e-6,
        )
        assert not any(group.startswith("outputs") for group in fresh.groups)  # lifting stores nothing


def test_a_form_in_true_token_logits_is_lifted_to_logits_that_hold_them(trained_run: Runs) -> None:
    run = dx.open(trained_run("language"))
    dx.measure(run, [dx.Outputs("true_token_logit")], progress=False)
    output = run.dataset("outputs/true_token_logit")["output"]
    form = form_of(run, output_kind="true_token_logit")
    lifted = dx.lift(run, form)
    assert lifted.attrs["output_kind"] == "logits"
    logits = lifted["logits"].sel(predictor="lifted").values
    found = np.take_along_axis(logits, lifted["target_id"].values[..., None], axis=-1)[..., 0]
    expected = np.einsum("t,tsp->sp", form.weights, output.sel(position=lifted.position).astype(float))
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_form_in_all_logits_of_a_regression_is_lifted_to_predictions(trained_run: Runs) -> None:
    run = dx.open(trained_run("regression"))
    dx.measure(run, [dx.Outputs("logits"), dx.Outputs("predictions")], progress=False)
    step = int(run.checkpoints.steps[-1])
    lifted = dx.lift(run, own_form(run.dataset("outputs/logits")["output"], step))
    expected = run.dataset("outputs/predictions")["output"].sel(step=step)
    np.testing.assert_allclose(lifted["prediction"].sel(predictor="lifted"), expected, atol=1e-6)


def test_outputs_of_other_weights_are_not_used(measured_run: Runs, trained_run: Runs) -> None:
    from devexplore.checkpoints import save_checkpoint

    run = dx.open(measured_run("regression"))
    step = run.checkpoints.steps[-1]
    halved = {name: tensor / 2 for name, tensor in run.checkpoints.load(step).items()}
    before = dx.lift(run, form_of(run))["prediction"].sel(predictor="end")
    save_checkpoint(run.checkpoints.path(step), halved)
    after = dx.lift(dx.open(run.path), form_of(run))["prediction"].sel(predictor="end")
    assert float(np.abs(after - before).max()) > 1e-3


@pytest.mark.parametrize(
    ("kind", "message"), [("predictions", "no outputs of kind"), ("foo", "no outputs of")]
)
def test_outputs_that_a_system_has_not_are_refused(trained_run: Runs, kind: str, message: str) -> None:
    run = dx.open(trained_run("language"))
    with pytest.raises(InvalidSpec, match=message):
        dx.lift(run, form_of(run, output_kind=kind), prompt="a b")


def test_weights_that_cancel_must_still_sum_to_one(trained_run: Runs) -> None:
    run = dx.open(trained_run("regression"))
    alpha = np.zeros(len(run.checkpoints.steps))
    alpha[:3] = (1e6, -1e6, 2.5)
    with pytest.raises(InvalidSpec, match="sum to 1"):
        dx.lift(run, form_of(run, alpha=alpha))


def test_no_form_is_told_as_that(trained_run: Runs) -> None:
    run = dx.open(trained_run("regression"))
    with pytest.raises(InvalidSpec, match="no form was found"):
        dx.lift(run, form_of(run).expand_dims(form=0))


def test_a_point_found_on_other_weights_is_refused(measured_run: Runs) -> None:
    from devexplore.checkpoints import save_checkpoint

    run = dx.open(measured_run("regression"))
    dynamics = dx.essential_dynamics(run)
    center = dx.circle_center(dynamics, float(dynamics["step"][len(dynamics["step"]) // 2]))
    dx.lift(run, center)
    step = run.checkpoints.steps[-1]
    halved = {name: tensor / 2 for name, tensor in run.checkpoints.load(step).items()}
    save_checkpoint(run.checkpoints.path(step), halved)
    with pytest.raises(InvalidSpec, match="found on other weights"):
        dx.lift(dx.open(run.path), center)


def test_the_predictors_compared_with_are_the_checkpoints_they_are_called(measured_run: Runs) -> None:
    run = dx.open(measured_run("language"))
    output = run.dataset("outputs/log_probs")["output"]
    lifted = dx.lift(run, form_of(run, step=3.4))
    steps = output.step.values
    nearest = int(steps[np.argmin(np.abs(np.log1p(steps) - np.log1p(3.4)))])
    for name, step in (("nearest", nearest), ("start", steps[0]), ("end", steps[-1])):
        np.testing.assert_allclose(lifted["logits"].sel(predictor=name), output.sel(step=step), atol=1e-6)
        assert float(lifted["predictor_step"].sel(predictor=name)) == step


def test_a_form_that_knows_its_place_on_the_path_is_compared_with_it(measured_run: Runs) -> None:
    run = dx.open(measured_run("regression"))
    form = form_of(run)
    form["path_weights"] = ("checkpoint", np.full(form.sizes["checkpoint"], 1 / form.sizes["checkpoint"]))
    lifted = dx.lift(run, form)
    mean = run.dataset("outputs/predictions")["output"].mean("step")
    np.testing.assert_allclose(lifted["prediction"].sel(predictor="path"), mean, atol=1e-5)
    assert list(lifted.predictor.values) == ["lifted", "path", "nearest", "start", "end"]


def test_what_is_read_agrees_with_the_probabilities_themselves(measured_run: Runs) -> None:
    run = dx.open(measured_run("language"))
    lifted = dx.lift(run, form_of(run), top_k=4)
    p = np.exp(lifted["log_prob"].values.astype(float))
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(lifted["top_probability"], -np.sort(-p, axis=-1)[..., :4], rtol=1e-4)
    np.testing.assert_allclose(
        lifted["target_log_prob"],
        np.log(np.take_along_axis(p, lifted["target_id"].values[None, ..., None], -1))[..., 0],
        atol=1e-4,
    )
    kl = (p[:1] * (np.log(p[:1]) - np.log(p))).sum(-1)
    np.testing.assert_allclose(lifted["divergence"], kl, atol=1e-5)
    np.testing.assert_allclose(lifted["token_probability"], p.mean(axis=2), atol=1e-6)
    spaced = np.array([text.startswith(" ") for text in lifted["vocab_text"].values])
    np.testing.assert_allclose(
        lifted["class_mass"].sel(predicted_class="leading space"), p[..., spaced].sum(-1), atol=1e-5
    )


def test_several_texts_are_lifted_as_each_alone_and_what_is_behind_them_is_missing(trained_run: Runs) -> None:
    run = dx.open(trained_run("language"))
    form = form_of(run)
    together = dx.lift(run, form, prompt=["the cat", "on"])
    for row, text in enumerate(("the cat", "on")):
        alone = dx.lift(run, form, prompt=text)
        count = alone.sizes["position"]
        here = together.isel(sequence=row)
        np.testing.assert_allclose(here["log_prob"][:, :count], alone["log_prob"].isel(sequence=0), atol=1e-5)
        assert np.isnan(here["log_prob"][:, count:]).all()
        assert (here["top_id"][:, count:] == PADDING).all()
        assert np.isnan(here["target_log_prob"][:, count - 1]).all()
        assert "".join(here["context_text"].values) == text
        np.testing.assert_allclose(
            here["token_probability"], alone["token_probability"].isel(sequence=0), atol=1e-6
        )


def test_blocks_of_sequences_change_nothing(measured_run: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    run = dx.open(measured_run("language"))
    whole = dx.lift(run, form_of(run))
    monkeypatch.setattr(reading, "_BLOCK_BYTES", 1)
    xr.testing.assert_allclose(dx.lift(run, form_of(run)), whole, rtol=1e-6)


def test_logits_too_large_to_keep_are_left_out_and_all_else_stays(
    measured_run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = dx.open(measured_run("language"))
    whole = dx.lift(run, form_of(run))
    monkeypatch.setattr(reading, "KEEP_BYTES", whole["logits"].nbytes)
    xr.testing.assert_identical(dx.lift(run, form_of(run)), whole.drop_vars(["logits", "log_prob"]))


def test_regression_is_lifted_on_inputs_of_ones_own(trained_run: Runs) -> None:
    run = dx.open(trained_run("regression"))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 4, 2)), rng.normal(size=(5, 4))
    lifted = dx.lift(run, form_of(run), inputs=(x, y))
    assert lifted["prediction"].dims == ("predictor", "sequence", "position")
    assert list(lifted["ideal"].values) == ["zero", "ridge"]
    assert (lifted["reference"].sel(ideal="zero") == 0).all()
    with pytest.raises(InvalidSpec, match=r"shapes \('n', 4, 2\)"):
        dx.lift(run, form_of(run), inputs=(x[:, :3], y))
    for empty in ((), (x[:0], y[:0])):
        with pytest.raises(InvalidSpec, match=r"n at least 1, got (none|\(0, 4, 2\), \(0, 4\))"):
            dx.lift(run, form_of(run), inputs=empty)
    with pytest.raises(InvalidSpec, match="reads no text"):
        dx.lift(run, form_of(run), prompt="1 2 3")


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("", "at least one token"),
        (["a", ""], "at least one token"),
        ([], "at least one token"),
        ("the cat sat on the mat", r"at most 8 tokens, the prompt has \d+; shorten it by \d+"),
        ([3, 270], "0 … 269"),
        ([3, -1], "0 … 269"),
        ([0.5, "a"], "as text, a list of texts"),
        ([1.7, 2.2], "whole token ids in one row or rows of one length; got float64 values"),
        ([True, False], "got bool values"),
        ([[1, 2], [3]], "got rows of several lengths"),
        (np.ones((1, 2, 3), int), r"got int64 values of shape \(1, 2, 3\)"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused_in_words(
    trained_run: Runs, prompt: object, words: str
) -> None:
    run = dx.open(trained_run("language"))
    with pytest.raises(InvalidSpec, match=words):
        dx.lift(run, form_of(run), prompt=prompt)  # pyright: ignore[reportArgumentType]


def test_what_is_no_single_form_is_refused_in_words(trained_run: Runs) -> None:
    run = dx.open(trained_run("language"))
    form = form_of(run)
    with pytest.raises(InvalidSpec, match="as find_forms gives it"):
        dx.lift(run, form.drop_vars("weights"))
    with pytest.raises(InvalidSpec, match=r"isel\(form=0\)"):
        dx.lift(run, xr.concat([form, form], dim="form"))
    with pytest.raises(InvalidSpec, match="one 'step'"):
        dx.lift(run, form.drop_vars("step"))
    with pytest.raises(InvalidSpec, match="sum to 1"):
        dx.lift(run, form.assign(weights=2 * form.weights))
    with pytest.raises(InvalidSpec, match="tolerance must be from 0"):
        dx.lift(run, form, tolerance=1.0)
    with pytest.raises(dx.DevexploreError, match="no checkpoint at step"):
        dx.lift(run, form.assign_coords(checkpoint=form.checkpoint + 1000))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20), st.integers(0, 40))
def test_what_is_left_out_is_negligible_and_the_weights_still_sum_to_one(
    values: list[float], step: float
) -> None:
    alpha = np.array(values)
    alpha += (1 - alpha.sum()) / len(alpha)
    form = xr.Dataset(
        {"weights": ("checkpoint", alpha), "step": step}, coords={"checkpoint": np.arange(len(alpha)) ** 2}
    )
    mix = mixture(form)
    np.testing.assert_allclose(mix.weights.sum(axis=1), 1, atol=1e-12)
    assert mix.dropped <= NEGLIGIBLE
    assert np.abs(mix.alpha - alpha).sum() <= 3 * NEGLIGIBLE * max(1, np.abs(alpha).sum())


def test_a_larger_tolerance_runs_fewer_checkpoints_and_errs_by_no_more_than_it_says(
    measured_run: Runs,
) -> None:
    run = dx.open(measured_run("regression"))
    output = run.dataset("outputs/predictions")["output"]
    alpha = np.full(output.sizes["step"], 0.01)
    alpha[-1] += 1 - alpha.sum()
    form = form_of(run, alpha)
    exact, rough = dx.lift(run, form, tolerance=0.0), dx.lift(run, form, tolerance=0.0201)
    assert rough.attrs["checkpoints_used"] == exact.attrs["checkpoints_used"] - 2
    assert rough.attrs["dropped_weight"] == pytest.approx(0.02)
    prediction = rough["prediction"].sel(predictor="lifted")
    error = np.abs(prediction - exact["prediction"].sel(predictor="lifted")).max()
    assert 0 < float(error) <= 0.02 * float(np.abs(prediction - output).max())


@given(st.integers(1, 6), st.data())
def test_a_combination_does_not_depend_on_the_pieces_it_comes_in(count: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(count)
    outputs, weights = rng.normal(size=(count, 3, 2)).astype(np.float16), rng.normal(size=(2, count))
    cut = data.draw(st.integers(0, count))
    pieces = [piece for piece in (outputs[:cut], outputs[cut:]) if len(piece)]
    np.testing.assert_allclose(
        combine(weights, pieces), np.einsum("pt,tij->pij", weights, outputs.astype(float)), atol=1e-12
    )


def test_induction_mass_is_the_probability_of_what_followed_before() -> None:
    ids = np.array([[0, 1, 2, 0]])
    logits = np.log(np.array([[0.2, 0.5, 0.3]]))[None, :, None, :].repeat(4, axis=2)
    read = read_predictions(logits, ids, np.arange(4), ["a", "b", "c"], 2, 1)
    mass = read["class_mass"].sel(predicted_class="induction").values[0, 0]
    np.testing.assert_allclose(mass, [0, 0, 0, 0.5])  # a was followed by b
    seen = read["class_mass"].sel(predicted_class="seen before").values[0, 0]
    np.testing.assert_allclose(seen, [0.2, 0.7, 1, 1])
