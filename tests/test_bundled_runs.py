"""What ships in data/: whole, made by this code, and showing what it is said to show."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from devexplore.analysis import essential_dynamics, find_forms
from devexplore.analysis.developments import developments
from devexplore.measure import ensure_outputs
from devexplore.measure.lift import lift
from devexplore.measure.subject import Subject
from devexplore.run import Run, bundled_runs, open_run
from devexplore.upkeep import check_run, digest

DATA = Path(__file__).parent.parent / "data"
NAMES = ("deep_linear", "language", "regression", "superposition")


@pytest.fixture(params=NAMES)
def run(request: pytest.FixtureRequest) -> Run:
    return open_run(request.param)


def test_four_runs_of_at_least_a_hundred_checkpoints_ship_within_sixty_megabytes():
    assert tuple(bundled_runs()) == NAMES
    assert all(len(open_run(name).checkpoints) >= 100 for name in NAMES)
    assert sum(file.stat().st_size for file in DATA.rglob("*") if file.is_file()) <= 60e6


def test_every_file_of_a_bundled_run_is_whole_and_the_one_its_checksum_names(run: Run):
    assert check_run(run.path) == []
    assert digest(run.path) in (DATA / "README.md").read_text(encoding="utf-8")


def test_losses_chains_metrics_and_llc_ship_and_outputs_do_not(run: Run):
    assert set(run.groups) >= {"checkpoints", "probe", "losses", "metrics", "chains", "llc"}
    assert not any(group.startswith("outputs") for group in Run(run.path).tree.groups)


def test_stored_losses_are_those_of_the_shipped_weights(run: Run):
    subject = Subject(run, torch.device("cpu"))
    stored = run.dataset("losses")["token_loss"]
    for step in run.checkpoints.steps[[0, len(run.checkpoints) // 2, -1]]:
        with torch.no_grad():
            loss = subject.system.position_loss(subject.load(step), subject.probe_batch)
        np.testing.assert_allclose(loss.numpy(), stored.sel(step=step).values, rtol=1e-3, atol=1e-4)


def test_llc_agrees_with_the_chains_it_came_from(run: Run):
    chains, llc = run.dataset("chains"), run.dataset("llc")
    assert chains.sizes["step"] == llc.sizes["step"] >= 60
    healthy = chains["status"] == 0
    excess = (chains["loss"] - chains["baseline"]).where(healthy).mean(["chain", "draw"])
    np.testing.assert_allclose(llc["llc"], llc.attrs["n_beta"] * excess, rtol=1e-3, atol=1e-2)


def test_the_language_run_learns_bigrams_and_then_induction():
    metrics = open_run("language").dataset("metrics")
    icl, bigram = metrics["icl_score"], metrics["bigram_kl"]
    assert float(icl[0]) > 0
    assert float(icl[-1]) < -0.2
    half_way = metrics["step"].values[np.argmax(icl.values < icl.values.min() / 2)]
    assert int(bigram.idxmin("step")) < half_way / 4


def test_every_seed_learns_bigrams_then_n_grams_then_positions_then_attends_and_copies():
    run = open_run("language")
    assert len(run.seeds) == 3
    half = developments([run, *run.seeds])["halfway"]
    grams, heads = ["2-grams", "3-grams", "4-grams"], ["previous-token head", "prefix-matching head"]
    order = ["bigrams", *grams, "positions", *heads]
    assert (half.sel(development=order).diff("development") > 0).all()
    early, late = (half.sel(development=name) for name in heads)
    assert (abs(half.sel(development="in-context learning") / early - 1) < 0.1).all()
    assert (abs(half.sel(development="induction") / late - 1) < 0.15).all()


def test_each_development_of_the_language_run_has_its_interval_and_the_drop_of_icl_overlaps_the_last():
    found = developments(open_run("language"))
    for name in ("onset", "halfway", "end"):
        assert (found[f"{name}_lower"] <= found[name]).all()
        assert (found[name] <= found[f"{name}_upper"]).all()
    assert (found["onset"] < found["halfway"]).all()
    assert (found["halfway"] < found["end"]).all()
    later = found.sel(development=["4-grams", "previous-token head", "prefix-matching head"])
    drop = found.sel(development="in-context learning")
    assert (np.maximum(later["onset"], drop["onset"]) < np.minimum(later["end"], drop["end"])).all()
    sure = found["before"].sel(development="previous-token head", other="prefix-matching head")
    assert sure > 0.99


def test_of_the_collapse_the_regression_run_reaches_that_of_the_unembedding():
    found = developments(open_run("regression"))
    half = found["halfway"]
    assert half.sel(development="task prior") < half.sel(development="in-context learning") < 5_000
    reached = found["extreme_value"]
    assert reached.sel(development="LayerNorm collapse unembedding") > 0.9
    assert reached.sel(development="LayerNorm collapse layer 2 MLP") < 0.05
    assert reached.sel(development="positional collapse") < 0.5


def test_the_regression_run_learns_in_context():
    metrics = open_run("regression").dataset("metrics")
    assert float(metrics["icl_score"].min()) < -3
    # before that it predicts zero, the mean of the task prior
    early = metrics["squared_prediction"].mean("position").sel(step=slice(30, 1_000)).min()
    assert float(early) < 0.1


def test_the_superposition_run_jumps_from_a_4_gon_to_the_5_gon():
    run = open_run("superposition")
    loss = run.dataset("losses")["test_loss"]
    between = loss.sel(step=slice(250, 600))
    assert 0.05 < float(between.min()) < float(between.max()) < 0.065
    assert float(loss[-1]) == pytest.approx(0.01583, abs=5e-4)  # the population loss of the 5-gon
    norms = run.dataset("metrics")["feature_norm"]
    assert float(norms.isel(step=-1).min()) > 0.9


def test_the_deep_linear_run_learns_the_teachers_modes_one_by_one():
    run = open_run("deep_linear")
    teacher = run.dataset("probe")["teacher_value"].values
    learned = run.dataset("metrics")["singular_value"].isel(mode=slice(len(teacher)))
    when = [
        int(learned["step"].values[np.argmax(learned.values[:, i] > s / 2)]) for i, s in enumerate(teacher)
    ]
    assert when == sorted(when)
    assert all(later > 1.5 * sooner > 0 for sooner, later in pairwise(when))


def test_the_forms_of_the_deep_linear_run_are_its_saddles():
    """At a saddle a deep linear network is the teacher's best approximation of some rank (Saxe 2014)."""
    run = open_run("deep_linear")
    forms = find_forms(essential_dynamics(ensure_outputs(run)))
    assert forms.sizes["form"] == 3
    assert (forms["p_value"] <= 0.01).all()
    for rank, form in enumerate(np.argsort(forms["step"].values), start=1):
        lifted = lift(run, forms.isel(form=form))
        teacher = lifted["reference"].sel(ideal="teacher").values[:, 0]
        left, size, right = np.linalg.svd(teacher)
        best = (left[:, :rank] * size[:rank]) @ right[:rank]
        away = lifted["prediction"].sel(predictor="lifted").values[:, 0] - best
        assert np.linalg.norm(away) < 0.06 * np.linalg.norm(teacher)


def test_the_language_runs_turns_are_told_from_random_walks_by_little_if_at_all():
    forms = find_forms(essential_dynamics(ensure_outputs(open_run("language"))), max_p=1)
    assert float(forms["p_value"].min()) > 0.01
    assert float(forms["turn_p_value"].min()) > 0.01


def test_outputs_of_a_bundled_run_are_computed_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DEVEXPLORE_CACHE", str(tmp_path))
    calls: list[int] = []
    run = open_run("superposition")
    output = ensure_outputs(run, progress=lambda done, of, text: calls.append(done))
    assert calls[-1] == output.sizes["step"] == len(run.checkpoints)
    again: list[int] = []
    same = ensure_outputs(open_run("superposition"), progress=lambda done, of, text: again.append(done))
    assert again == []
    np.testing.assert_array_equal(same, output)
