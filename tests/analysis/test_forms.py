"""Forms: planted ones are found where and when they are, walks and smooth curves have none."""

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis import essential_dynamics, find_forms

from .planted import cusp_singularities, lissajous, random_walk, sharp_turns


def place_in_components(dynamics: xr.Dataset, outputs: xr.DataArray, place: np.ndarray) -> np.ndarray:
    centred = outputs.values - outputs.values.mean(axis=0)
    return (place - outputs.values.mean(axis=0)) @ centred.T @ dynamics["weights"].values


@pytest.mark.slow
def test_planted_forms_are_found_in_place_and_within_their_intervals() -> None:
    seeds, whole, forms, covered, extra = 100, 0, 0, 0, 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        plant = (cusp_singularities, sharp_turns)[seed % 2]
        truth = plant(rng, forms=1 + seed // 2 % 4, noise=10 ** rng.uniform(-3, -2))
        dynamics = essential_dynamics(truth.outputs)
        found = find_forms(dynamics, n_surrogates=39)
        places = place_in_components(dynamics, truth.outputs, truth.place)
        matched = set()
        for step, place in zip(truth.step, places, strict=True):
            near = np.flatnonzero(np.abs(np.log(found["step"] / step)) < 0.05 * np.log(1000))
            if len(near) == 0:
                continue
            form = found.isel(form=near[0])
            assert np.linalg.norm(form["coordinates"] - place) < 0.05 * truth.extent
            matched.add(int(near[0]))
            covered += bool(form["step_low"] <= step <= form["step_high"])
        whole += len(matched) == len(truth.step)
        forms += len(matched)
        extra += found.sizes["form"] - len(matched)
    print(f"whole {whole} of {seeds}, forms {forms}, covered {covered / forms:.3f}, others {extra}")
    assert whole >= 0.95 * seeds
    assert 0.80 <= covered / forms <= 0.97
    assert extra <= 0.05 * seeds


@pytest.mark.slow
def test_random_walks_have_forms_no_more_often_than_the_stated_level() -> None:
    seeds, alarms = 200, 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        walk = random_walk(rng, (4, 8, 30, 1000)[seed % 4], noise=(0, 1)[seed // 4 % 2])
        alarms += find_forms(essential_dynamics(walk), n_surrogates=39, seed=seed).sizes["form"] > 0
    print(f"alarms {alarms} of {seeds}")
    assert alarms <= 0.07 * seeds


@pytest.mark.slow
def test_smooth_lissajous_curves_have_forms_no_more_often_than_the_stated_level() -> None:
    seeds, alarms = 200, 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        curve = lissajous(rng, (3, 4, 5, 6)[seed % 4], noise=(0, 0.001, 0.01)[seed // 4 % 3])
        alarms += find_forms(essential_dynamics(curve), n_surrogates=19).sizes["form"] > 0
    print(f"alarms {alarms} of {seeds}")
    assert alarms <= 0.07 * seeds
