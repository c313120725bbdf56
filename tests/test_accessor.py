"""``.dx`` on trees and Datasets forwards to the functions of devexplore, and adds nothing."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import devexplore as dx
from devexplore.accessor import register
from devexplore.errors import InvalidSpec, NotMeasured


@pytest.fixture(scope="module")
def run() -> dx.Run:
    return dx.open("superposition")


@pytest.fixture(scope="module")
def stages(run) -> xr.Dataset:
    return dx.find_stages(run)


def test_a_tree_answers_as_its_run(run, stages):
    tree = run.tree
    xr.testing.assert_identical(tree.dx.stages(), stages)
    xr.testing.assert_identical(tree.dx.stages(boundaries=[40]), dx.find_stages(run, boundaries=[40]))
    xr.testing.assert_identical(tree.dx.dynamics(n_components=3), dx.essential_dynamics(run, n_components=3))
    xr.testing.assert_identical(tree.dx.milestones("loss"), dx.find_milestones(run, "loss"))
    forms = dx.find_forms(dx.essential_dynamics(run), n_surrogates=19)
    xr.testing.assert_identical(tree.dx.forms(n_surrogates=19), forms)
    assert tree.dx.run.name == run.name


def test_figures_go_by_their_names(run, stages):
    by_name = run.tree.dx.figure("chains", 5000, stages=stages, visuals={"zero": False})
    assert by_name.to_json() == dx.figures.chains(run, 5000, stages=stages, visuals={"zero": False}).to_json()
    assert stages.dx.figure("stages").to_json() == dx.figures.stages(stages).to_json()
    dynamics = dx.essential_dynamics(run)
    drawn = dynamics.dx.figure("trajectory", visuals={"forms": False})
    assert drawn.to_json() == dx.figures.trajectory(dynamics, visuals={"forms": False}).to_json()


@pytest.mark.parametrize(
    ("group", "figure"),
    [("llc", "stages"), ("losses", "development"), ("checkpoints", "development"), ("chains", "chains")],
)
def test_a_group_knows_its_figure(run, stages, group, figure):
    data = run.dataset(group).load()
    drawn = getattr(dx.figures, figure)(data, stages=stages)
    assert data.dx.figure(stages=stages).to_json() == drawn.to_json()


def test_datasets_forward_too(run, stages):
    dynamics = dx.essential_dynamics(run)
    xr.testing.assert_identical(dynamics.dx.forms(n_surrogates=19), dx.find_forms(dynamics, n_surrogates=19))
    alone = run.dataset("llc").load().dx.stages()
    np.testing.assert_array_equal(alone["end"].values, stages["end"].values)
    assert dynamics.dx.figure(visuals={"forms": False}).data[0].meta["layer"] == "raw"


def test_exploring_a_tree_explores_its_run(run, monkeypatch):
    asked = []
    monkeypatch.setattr("devexplore.app.explore.explore", lambda run, **more: asked.append((run, more)))
    run.tree.dx.explore(height=500)
    ((given, more),) = asked
    assert (given.path, more) == (run.path, {"height": 500})


def test_errors_teach(run, stages):
    memory = xr.DataTree.from_dict({"/llc": run.dataset("llc").load()})
    with pytest.raises(
        InvalidSpec, match="no figure 'trajectry'; name one of agreement, chains, development"
    ):
        memory.dx.figure("trajectry")
    with pytest.raises(InvalidSpec, match="no figure 'save'"):
        memory.dx.figure("save")
    with pytest.raises(NotMeasured, match=r"does not tell which run it is of; open that: dx.open\(path\)"):
        memory.dx.explore()
    with pytest.raises(InvalidSpec, match="no figure is known for this Dataset by itself; name one of"):
        xr.Dataset({"a": 1}).dx.figure()
    with pytest.raises(InvalidSpec, match=r"these are not .* essential dynamics"):
        stages.dx.forms()
    with pytest.raises(InvalidSpec, match="got a Dataset of a"):
        xr.Dataset({"a": 1}).dx.stages()
    forms = dx.find_forms(dx.essential_dynamics(run), n_surrogates=19)
    with pytest.raises(InvalidSpec, match="forms lie on a trajectory"):
        forms.dx.figure()


def test_what_there_is_is_listed_and_described(run):
    names = {name for name in dir(run.tree.dx) if not name.startswith("_")}
    assert names == {"stages", "milestones", "dynamics", "forms", "explore", "figure", "run"}
    assert {name for name in dir(xr.Dataset().dx) if not name.startswith("_")} == {
        "stages",
        "forms",
        "figure",
    }
    for name in names:
        assert f"tree.dx.{name}: " in repr(run.tree.dx)


def test_importing_registers_it_and_leaves_that_of_others_alone():
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "import xarray as xr\n"
        "@xr.register_dataset_accessor('dx')\n"
        "class Theirs:\n"
        "    def __init__(self, dataset): pass\n"
        "import devexplore\n"
        "print(type(xr.Dataset().dx).__name__, type(xr.DataTree().dx).__name__)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["Theirs", "TreeAccessor"], ended.stderr
    register()  # again, without a warning
