"""Chains as they are drawn: all that a page holds, and the sheet of one checkpoint."""

import numpy as np
import pytest

import devexplore as dx
from devexplore.analysis.chain_readings import chain_readings
from devexplore.analysis.trust import trust
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.views.chains import (
    MOST_BYTES,
    chains_payload,
    excess_range,
    llc_range,
    thinned,
    updates,
    verdict_of,
)


@pytest.fixture(scope="module")
def read():
    def readings(name):
        run = dx.open(name)
        llc = run.dataset("llc").load()
        judged = trust(llc)
        return chain_readings(run.dataset("chains").load(), llc, judged), judged

    return readings


@pytest.mark.parametrize("name", ["language", "superposition"])
def test_traces_stay_below_the_bytes_of_a_page_and_keep_the_last_draw(read, name):
    readings, judged = read(name)
    thin, every = thinned(readings)
    assert thin["draw"].values[-1] == readings["draw"].values[-1]
    assert np.all(np.diff(thin["draw"].values) == every * np.diff(readings["draw"].values)[0])
    traces = chains_payload(readings, judged.attrs)["traces"]
    sent = sum(traces[name].nbytes for name in ("excess", "running_llc", "running_se"))
    assert sent <= MOST_BYTES
    assert bool(traces["thinned"]) == (every > 1)


def test_what_is_sent_flat_is_the_traces_in_the_order_step_chain_draw(read):
    readings, judged = read("language")
    traces = chains_payload(readings, judged.attrs)["traces"]
    whole = traces["excess"].reshape(readings.sizes["step"], traces["chains"], len(traces["draws"]))
    assert np.allclose(whole, readings["excess"].values)
    assert traces["draws"][0] == traces["burn_in"] + readings.attrs["thinning"]
    assert np.array_equal(traces["draws"], updates(readings))


def test_the_axis_of_the_traces_holds_w_star_and_the_trivial_predictor_only_where_it_is_near(read):
    readings, _ = read("regression")
    for at in (readings.isel(step=i) for i in range(0, readings.sizes["step"], 25)):
        low, high = excess_range(at)
        assert low < 0 < high
        assert low < np.nanmin(at["excess"]) < np.nanmax(at["excess"]) < high
    near, far = readings.sel(step=2700), readings.sel(step=150_000)
    assert excess_range(near)[1] > float(near["trivial_excess"])
    assert excess_range(far)[1] < float(far["trivial_excess"])


def test_the_axis_of_the_running_estimate_holds_its_end_with_its_error(read):
    at = read("language")[0].isel(step=-1)
    low, high = llc_range(at)
    assert low < float(at["llc"] - at["llc_se"]) < float(at["llc"] + at["llc_se"]) < high


def test_a_verdict_is_said_with_its_reason_and_a_published_curve_is_called_not_judged(read):
    readings, _ = read("language")
    assert verdict_of(readings.isel(step=-1)) == "trusted"
    assert "below zero" in verdict_of(readings.isel(step=0))
    alone = dx.open("language").dataset("llc").load()[["llc", "llc_se"]]
    assert verdict_of(chain_readings(None, alone, trust(alone)).isel(step=-1)) == "not judged"


def test_the_figure_draws_every_chain_of_the_step_and_names_verdict_and_settings():
    run = dx.open("regression")
    figure = dx.figures.chains(run, 2700)
    chains = [trace for trace in figure.data if (trace.meta or {}).get("layer") == "chain"]
    held = run.dataset("chains").sel(step=2700)
    assert len(chains) == held.sizes["chain"]
    assert np.allclose(chains[1].y, (held["loss"] - held["baseline"]).values[1], atol=1e-5)
    end = next(trace for trace in figure.data if (trace.meta or {}).get("layer") == "llc")
    assert end.y[-1] == pytest.approx(float(run.dataset("llc")["llc"].sel(step=2700)), rel=1e-4)
    said = " ".join(note.text for note in figure.layout.annotations)
    for words in ("step 2,700", "Doubtful: the step is near its limit", "burn-in", "4 chains × 50 draws"):
        assert words in said
    assert [shape.y0 for shape in figure.layout.shapes] == [
        0.0,
        pytest.approx(4.125 - float(held["init_loss"]), abs=1e-5),
    ]


def test_without_a_step_the_figure_is_of_the_last_and_another_is_refused_with_the_nearest():
    run = dx.open("language")
    assert "step 14,000" in dx.figures.chains(run).layout.annotations[0].text
    with pytest.raises(InvalidSpec, match="nearest are 14,000, 13,800"):
        dx.figures.chains(run, 99_999)


def test_a_table_is_drawn_without_chains_and_one_without_an_llc_is_refused(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(
        "step,llc,llc_se,loss\n0,1,0.1,6\n10,2,0.1,5\n100,5,0.1,4\n1000,6,0.1,3\n", encoding="utf-8"
    )
    figure = dx.figures.chains(dx.import_table(table, tmp_path / "run"))
    said = " ".join(note.text for note in figure.layout.annotations)
    assert "No chains were kept" in said
    assert "Not judged." in said
    table.write_text("step,loss\n0,6\n10,5\n", encoding="utf-8")
    with pytest.raises(NotMeasured, match="'llc' is not measured"):
        dx.figures.chains(dx.import_table(table, tmp_path / "bare"))
