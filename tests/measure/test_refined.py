"""Refined LLCs (of components, on other data) and per-token traces."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import devexplore as dx
from devexplore import systems
from devexplore.analysis.trust import trust_of_components
from devexplore.errors import InvalidSpec
from devexplore.measure.subject import Subject
from devexplore.sampling import estimate_llc


def measure(path: Path, *measurements) -> dx.Run:
    return dx.measure(dx.open(path), measurements, progress=False)


def subject_of(path: Path) -> Subject:
    return Subject(dx.open(path), torch.device("cpu"))


@pytest.mark.parametrize("name", ["language", "regression"])
def test_components_share_no_weight_and_heads_are_equally_large(name: str, trained_run):
    subject = subject_of(trained_run(name))
    parts = subject.system.components(subject.model)
    taken = {name: torch.zeros(p.shape, dtype=torch.long) for name, p in subject.model.named_parameters()}
    sizes = {}
    for part, masks in parts.items():
        sizes[part] = 0
        for parameter, mask in masks.items():
            chosen = torch.ones_like(taken[parameter]) if mask is None else mask.long()
            taken[parameter] += chosen
            sizes[part] += int(chosen.sum())
    assert max(int(count.max()) for count in taken.values()) == 1
    spec = subject.system.spec
    heads = [size for part, size in sizes.items() if "head" in part]
    assert len(heads) == spec.layers * spec.heads
    assert len(set(heads)) == 1
    biases = 3 * spec.width // spec.heads if name == "language" else 0
    assert heads[0] == 4 * spec.width * spec.width // spec.heads + biases


def test_each_head_of_a_language_model_changes_only_that_heads_output(trained_run):
    """Weights moved within one head's mask leave what the other heads mix into the stream as it was."""
    subject = subject_of(trained_run("language"))
    spec, attention = subject.system.spec, subject.model.attention[0]
    size = spec.width // spec.heads
    masks = subject.system.components(subject.model)["layer 1 head 2"]
    mixed = []
    attention.out.register_forward_pre_hook(lambda module, inputs: mixed.append(inputs[0]))
    with torch.no_grad():
        subject.model(subject.probe_batch[0][:2, :-1])
        for name, mask in masks.items():
            subject.model.get_parameter(name).add_(mask.float())
        subject.model(subject.probe_batch[0][:2, :-1])
    changed = (mixed[0] - mixed[1]).abs().amax(dim=(0, 1)) > 1e-6
    assert changed.nonzero().flatten().tolist() == list(range(size, 2 * size))


def test_every_components_llc_is_that_of_its_weights_alone(trained_run, short_chains):
    path = trained_run("regression")
    run = measure(path, dx.RefinedLLC(("*head*", "all"), settings=short_chains))
    found, subject = run.dataset("refined/own"), subject_of(path)
    assert found["component"].values.tolist() == ["all"] + [
        f"layer {layer} head {head}"
        for layer in range(1, subject.system.spec.layers + 1)
        for head in range(1, subject.system.spec.heads + 1)
    ]
    assert np.isfinite(found["llc"]).all()
    spec = dx.LLC(short_chains).sampler(subject)
    for component in ("all", "layer 1 head 2"):
        alone = estimate_llc(
            subject.load(6),
            subject.system.per_sample_loss,
            subject.pool,
            spec,
            free=subject.system.components(subject.model).get(component),
        )
        measured = found["llc"].sel(step=6, component=component)
        assert float(measured) == pytest.approx(alone.estimate.llc, rel=1e-3, abs=1e-4)


def test_other_data_have_their_own_loss_and_their_own_group(trained_run, short_chains):
    path = trained_run("regression")
    run = measure(path, dx.RefinedLLC(data="tasks:0", settings=short_chains))
    (group,) = (name for name in run.groups if name.startswith("refined/"))
    found = run.dataset(group)
    assert found["component"].values.tolist() == ["all"]
    assert found.attrs["data"] == "tasks:0"
    assert "trivial_loss" not in found.attrs  # of the run's own data, so it judges nothing here
    subject = subject_of(path)
    x, y = subject.system.restricted_pool("tasks:0", subject.system.pool_size, subject.seed)
    assert float((y**2).mean()) == pytest.approx(subject.system.spec.noise_variance, rel=0.1)
    with torch.no_grad():
        truth = subject.system.per_sample_loss(subject.load(6), (x, y)).mean()
    assert found["init_loss"].sel(step=6).item() == pytest.approx(float(truth), rel=1e-5)


def test_repeated_text_repeats(trained_run):
    subject = subject_of(trained_run("language"))
    (tokens,) = subject.system.restricted_pool("repeated", 5, 0)
    half = -(-tokens.shape[1] // 2)
    assert tokens.shape == (5, subject.system.spec.context + 1)
    assert torch.equal(tokens[:, half:], tokens[:, : tokens.shape[1] - half])


@pytest.mark.parametrize(
    ("name", "wrong", "said"),
    [
        ("regression", dx.RefinedLLC(("tail",)), "no component matches 'tail'; there are all, embedding"),
        ("regression", dx.RefinedLLC(data="tasks:x"), "tasks:SCALE"),
        ("language", dx.RefinedLLC(data="books"), "'repeated' or 'folder:PATH', got 'books'"),
        ("superposition", dx.RefinedLLC(data="repeated"), "knows no other data"),
        ("superposition", dx.TokenTraces(every=10_000), "is none: lower `every`"),
    ],
)
def test_components_and_data_that_are_not_there_are_refused_by_name(name, wrong, said, trained_run):
    with pytest.raises(InvalidSpec, match=said):
        measure(trained_run(name), wrong)


def test_token_traces_are_the_losses_of_the_very_chains_of_the_llc(trained_run, short_chains, monkeypatch):
    """With the probe as the data and full batches, a trace's mean over tokens is the stored chain's loss."""
    path = trained_run("superposition")
    monkeypatch.setattr(Subject, "pool", property(lambda subject: subject.probe_batch))
    moving = short_chains | {"step_size": 1e-3, "draws": 8, "batch_size": 10_000}
    run = measure(path, dx.TokenTraces(sequences=100, every=2, settings=moving), dx.LLC(moving))
    traces, chains = run.dataset("token_traces"), run.dataset("chains")
    assert traces.sizes["draw"] == 4
    expected = chains["loss"].sel(draw=traces["draw"])
    assert float(expected.std()) > 1e-3
    np.testing.assert_allclose(traces["loss"].mean(("sequence", "position")), expected, rtol=1e-4)
    np.testing.assert_allclose(
        traces["baseline"].mean(("sequence", "position")), chains["init_loss"], rtol=1e-5
    )


def test_a_diverged_chain_is_left_out_of_covariances_even_before_it_was_retired() -> None:
    rng = np.random.default_rng(0)
    loss = 1 + 0.1 * rng.standard_normal((4, 200, 1, 3))
    loss[3, 100:103] = [[[3e2]], [[3e3]], [[3e4]]]
    loss[3, 103:] = np.nan
    traces = xr.Dataset(
        {
            "loss": (("chain", "draw", "sequence", "position"), loss),
            "status": (("chain",), np.array([0, 0, 0, 1], dtype=np.int8)),
        }
    )
    found = dx.loss_covariance(traces).values.reshape(3, 3)
    np.testing.assert_allclose(np.diag(found), 0.01, rtol=0.2)
    with pytest.raises(InvalidSpec, match="at least two draws"):
        dx.loss_covariance(traces.assign(status=xr.ones_like(traces["status"])))


def test_covariances_of_token_losses_come_from_moving_chains(trained_run, short_chains):
    path = trained_run("superposition")
    moving = short_chains | {"step_size": 1e-3, "draws": 20}
    found = measure(path, dx.TokenTraces(sequences=2, every=1, settings=moving)).dataset("token_traces")
    covariance = dx.loss_covariance(found.isel(step=-1))
    flat = (
        found["loss"]
        .isel(step=-1)
        .astype(float)
        .stack(token=("sequence", "position"), sample=("chain", "draw"))
    )
    truth = np.cov(flat.transpose("token", "sample").values)
    np.testing.assert_allclose(covariance.values.reshape(truth.shape), truth, rtol=1e-3, atol=1e-9)
    assert (np.diag(truth) > 0).all()


def test_a_sweep_of_at_most_so_many_checkpoints_spans_training_and_can_be_filled_in(
    trained_run, short_chains
):
    path = trained_run("superposition")
    run = dx.measure(dx.open(path), [dx.RefinedLLC(settings=short_chains)], at_most=2, progress=False)
    assert run.dataset("refined/own")["step"].values.tolist() == [0, 6]
    assert measure(path, dx.RefinedLLC(settings=short_chains)).dataset("refined/own").sizes["step"] == 5


def test_every_system_names_its_components():
    for name in systems.NAMES:
        system = systems.from_preset(name, "small", {}, Path("nowhere"))
        model = system.network()
        names = dict(model.named_parameters())
        for masks in system.components(model).values():
            assert masks.keys() <= names.keys()


def test_components_are_judged_by_their_own_number_of_weights(trained_run, short_chains):
    run = measure(trained_run("regression"), dx.RefinedLLC(("layer 1 head *",), settings=short_chains))
    found = run.dataset("refined/own").load()
    spec = systems.from_recipe(run.recipe, run.path).spec
    assert (found["n_parameters"] == 4 * spec.width**2 // spec.heads).all()
    # beyond P, no loss that rises from w* has it
    found["llc"][:] = 3.0 * found["n_parameters"]
    found["llc_se"][:] = 0.1
    assert (trust_of_components(found) == 2).all()


def test_names_of_other_data_never_share_a_group():
    groups = {
        dx.RefinedLLC(data=data).group
        for data in (None, "own", "folder:a/b", "folder:a_b", "tasks:0.5", "tasks:0_5")
    }
    assert len(groups) == 6
