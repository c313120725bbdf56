"""What is no run, no Dataset or no path is told so by every public function, with what to give instead."""

from pathlib import Path

import pytest

import devexplore as dx
from devexplore.errors import InvalidSpec, RunNotFound

OF_A_RUN = {
    "agreement": (),
    "boundaries": (),
    "calibrate": (),
    "change_points": (),
    "developments": (),
    "essential_dynamics": (),
    "find_milestones": (),
    "find_stages": (),
    "free_energy": (),
    "joint_dynamics": (),
    "lift": (None,),
    "loss_change": (1, 2),
    "loss_history": (0, 0),
    "measure": (),
    "reset_boundaries": (),
    "saddle_times": (),
    "save_boundaries": ([5],),
    "share_probe": (),
    "token_losses": ("text",),
    "when_learned": (),
}
FIGURES = {"save": ("folder",), "token_history": (0, 0), "token_rankings": ("S1",)}
OF_A_DATASET = {"llc_change": (1, 2), "loss_covariance": (), "read_form": (), "reference_distances": ()}


@pytest.mark.parametrize("name", OF_A_RUN)
@pytest.mark.parametrize("given", ["language", 7, None])
def test_a_name_in_the_place_of_a_run_is_refused_with_the_way_to_one(name: str, given) -> None:
    way = "'language'" if given == "language" else "…"
    with pytest.raises(InvalidSpec, match=rf"expected a run.*; give a Run: dx\.open\({way}\)"):
        getattr(dx, name)(given, *OF_A_RUN[name])


@pytest.mark.parametrize("name", sorted(set(dx.figures.__all__) - {"LAYERS"}))
def test_figures_refuse_what_is_no_run(name: str) -> None:
    with pytest.raises(InvalidSpec, match=r"give a Run: dx\.open\('language'\)"):
        getattr(dx.figures, name)("language", *FIGURES.get(name, ()))


@pytest.mark.parametrize("name", OF_A_DATASET)
def test_what_is_no_dataset_is_refused(name: str) -> None:
    for given in (None, "chains"):
        with pytest.raises(InvalidSpec):
            getattr(dx, name)(given, *OF_A_DATASET[name])
    with pytest.raises(InvalidSpec, match="expected a form"):
        dx.lift(dx.open("deep_linear"), None)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("given", [None, 7, b"language", "a\0b"])
def test_what_is_no_path_opens_nothing(given) -> None:
    with pytest.raises(InvalidSpec, match="folder of a run"):
        dx.open(given)
    with pytest.raises(InvalidSpec, match="a table"):
        dx.import_table(given, "out")
    with pytest.raises(InvalidSpec, match="file of boundaries"):
        dx.Boundaries.from_file(given)


def test_a_name_longer_than_any_file_is_not_there() -> None:
    with pytest.raises(RunNotFound, match="no such run"):
        dx.open("x" * 5000)
    with pytest.raises(RunNotFound, match="no such file"):
        dx.import_table(Path("x" * 5000), "out")
