"""A tree, a group or the Dataset that a figure draws stands for the run; what is neither is refused."""

import numpy as np
import pytest
import xarray as xr

import devexplore as dx
from devexplore.errors import CheckpointNotFound, InvalidSpec, NotMeasured, NotWritable
from devexplore.tree_run import TreeRun, folder_of, run_of


@pytest.fixture(scope="module")
def run() -> dx.Run:
    return dx.open("superposition")


@pytest.fixture(scope="module")
def stages(run) -> xr.Dataset:
    return dx.find_stages(run)


def tree_of(run: dx.Run, *groups: str) -> xr.DataTree:
    """Groups of a run in memory, that do not know where they come from."""
    return xr.DataTree.from_dict({f"/{group}": run.dataset(group).load() for group in groups})


@pytest.mark.parametrize("figure", ["stages", "development", "landscape", "chains", "k_gons", "token_groups"])
def test_a_tree_opened_from_a_store_draws_as_its_run(run, stages, figure):
    draw = getattr(dx.figures, figure)
    assert folder_of(run.tree) == run.path
    assert draw(run.tree, stages=stages).to_json() == draw(run, stages=stages).to_json()


def test_the_trajectory_of_its_dynamics_is_that_of_the_run(run, stages):
    dynamics = dx.essential_dynamics(run)
    forms = dx.find_forms(dynamics, n_surrogates=19)
    alone = dx.figures.trajectory(dynamics, stages=stages, forms=forms)
    whole = dx.figures.trajectory(run, dynamics=dynamics, stages=stages, forms=forms)
    assert [trace.to_json() for trace in alone.data] == [trace.to_json() for trace in whole.data]
    titles = [figure.layout.annotations[0].text for figure in (alone, whole)]
    assert titles == ["<b>Trajectory</b>", f"<b>Trajectory of {run.name}</b>"]


def test_dynamics_that_know_no_stages_are_coloured_by_steps(run):
    figure = dx.figures.trajectory(dx.essential_dynamics(run), visuals={"forms": False})
    seen = {trace.meta["layer"] for trace in figure.data if trace.visible}
    assert "step" in seen
    assert "stage" not in seen


def test_groups_in_memory_draw_what_they_hold(run, stages):
    groups = tree_of(run, "losses", "llc", "checkpoints")
    figure, whole = dx.figures.stages(groups, stages=stages), dx.figures.stages(run, stages=stages)
    assert [trace.to_json() for trace in figure.data] == [trace.to_json() for trace in whole.data]
    with pytest.raises(NotMeasured, match="these are groups of measurements alone; open their run"):
        dx.figures.k_gons(groups)
    gons = dx.figures.k_gons(tree_of(run, "metrics", "probe"), stages=stages)
    assert [trace.to_json() for trace in gons.data] == [
        trace.to_json() for trace in dx.figures.k_gons(run, stages=stages).data
    ]


def test_one_group_is_enough_for_its_own_figure(run, stages):
    llc = run.dataset("llc").load()
    points = [t for t in dx.figures.stages(llc).data if t.meta["layer"] == "llc" and t.mode == "markers"]
    drawn = np.sort(np.concatenate([trace.customdata for trace in points]))
    assert drawn.tolist() == llc["step"].values[np.isfinite(llc["llc"].values)].tolist()
    chains = dx.figures.chains(run.dataset("chains").load())
    traces = [trace for trace in chains.data if trace.meta["layer"] == "chain"]
    assert len(traces) == run.dataset("chains").sizes["chain"]
    metrics = run.dataset("metrics").load()
    weights = metrics["weight_norm"].values
    drawn = dx.figures.stage_analysis(metrics, stages=stages).data
    assert any(np.array_equal(trace.y, weights) for trace in drawn)
    losses = run.dataset("losses").load()
    history = dx.figures.token_history(losses, 0, 1, stages=stages)
    (dots,) = [trace for trace in history.data if trace.meta["layer"] == "checkpoints"]
    np.testing.assert_array_equal(dots.y, losses["token_loss"].values[:, 0, 1])


def test_stages_alone_are_bands_over_their_table(run, stages):
    figure, whole = dx.figures.stages(stages), dx.figures.stages(run, stages=stages)
    tables = [trace for one in (figure, whole) for trace in one.data if trace.type == "table"]
    assert tables[0].cells.values == tables[1].cells.values
    assert sum(trace.meta["layer"] == "band" for trace in figure.data) == stages.sizes["stage"]
    assert {trace.meta["layer"] for trace in figure.data} <= {"band", "boundary", "interval", "table"}
    with pytest.raises(InvalidSpec, match="expected stages with name, start, end"):
        dx.figures.stages(stages[["start", "end"]])


def test_what_was_done_to_a_tree_is_drawn_and_not_what_lies_in_its_store(run):
    tree = run.tree.copy()
    half = run.dataset("llc").load().isel(step=slice(0, 60))
    tree["llc"] = xr.DataTree(half)
    tree.encoding = run.tree.encoding
    held = run_of(tree)
    assert held.dataset("llc").sizes["step"] == 60
    assert held.dataset("losses").sizes["step"] == run.dataset("losses").sizes["step"]
    assert list(held.checkpoints.steps) == list(run.checkpoints.steps)
    assert (held.name, held.system, held.path) == (run.name, run.system, run.path)


def test_a_tree_that_xarray_opened_shows_its_measured_steps(measured_run):
    small = dx.open(measured_run("superposition"))
    tree = xr.open_datatree(small.store_path, engine="zarr", consolidated=False)
    held = run_of(tree)
    assert held.name == small.name
    for group in ("losses", "llc", "metrics"):
        mine, theirs = held.dataset(group), small.dataset(group)
        assert set(mine.variables) == set(theirs.variables)
        assert mine["step"].values.tolist() == theirs["step"].values.tolist()
    assert dx.find_stages(held).equals(dx.find_stages(small))


def test_outputs_that_a_tree_lacks_are_computed_where_its_run_has_checkpoints(run_without):
    without = run_without("superposition", "outputs")
    drawn = dx.figures.development(without.tree)
    assert "holds no outputs" not in drawn.layout.annotations[-1].text
    assert without.has("outputs/predictions") or dx.open(without.path).has("outputs/predictions")


def test_a_tree_in_memory_says_what_it_cannot_do(run):
    held = run_of(tree_of(run, "losses"))
    assert isinstance(held, TreeRun)
    assert (held.name, held.seeds) == (run.name, ())
    assert repr(held) == f"TreeRun({run.name!r}, system={held.system!r}, groups=['losses'])"
    with pytest.raises(CheckpointNotFound, match="hold no checkpoints"):
        _ = held.checkpoints
    with pytest.raises(NotWritable, match="has no place for results"):
        held.output_store()
    with pytest.raises(NotMeasured, match="these are groups of measurements alone"):
        held.dataset("llc")


@pytest.mark.parametrize("source", ["language", 3, None, {"llc": 1}])
def test_what_is_no_source_is_refused_with_what_would_be(source):
    for figure in (
        dx.figures.stages,
        dx.figures.development,
        dx.figures.trajectory,
        dx.figures.token_changes,
    ):
        with pytest.raises(InvalidSpec, match=rf"expected a run.*, got {type(source).__name__}; give a Run"):
            figure(source)


def test_a_dataset_of_another_kind_is_refused_with_those_that_a_figure_takes(run, stages):
    other = xr.Dataset({f"variable_{i}": ("x", np.zeros(2)) for i in range(9)})
    with pytest.raises(InvalidSpec, match=r"or its stages; got a Dataset of variable_0, .+ and 3 more"):
        dx.figures.stages(other)
    with pytest.raises(InvalidSpec, match="or its essential dynamics; got a Dataset of start, end"):
        dx.figures.trajectory(stages)


def test_sources_are_not_changed(run, stages):
    dynamics, llc = dx.essential_dynamics(run), run.dataset("llc").load()
    before = dynamics.copy(deep=True), llc.copy(deep=True), stages.copy(deep=True)
    dx.figures.trajectory(dynamics, stages=stages, visuals={"forms": False})
    dx.figures.stages(llc, stages=stages)
    dx.figures.stages(stages)
    for now, then in zip((dynamics, llc, stages), before, strict=True):
        xr.testing.assert_identical(now, then)
