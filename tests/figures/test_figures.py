"""Each figure holds what the run holds; what a run lacks is said in its place, and the rest is drawn."""

import re

import numpy as np
import plotly.graph_objects as go
import pytest

import devexplore as dx
from devexplore.errors import InvalidSpec, NotMeasured
from devexplore.views.metric_panels import metric_titles

SYSTEMS = ("language", "regression", "superposition", "deep_linear")


def words(figure: go.Figure) -> str:
    """All that is written on a sheet, as one line."""
    return re.sub(r"<br>|\s+", " ", " ".join(note.text for note in figure.layout.annotations))


def layer(figure: go.Figure, name: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if (trace.meta or {}).get("layer") == name]


def named(figure: go.Figure, name: str) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.name == name]


@pytest.mark.parametrize("system", SYSTEMS)
def test_loss_and_llc_of_every_system_are_those_of_the_run(measured_run, system):
    run = dx.open(measured_run(system))
    figure = dx.figures.stages(run)
    loss = named(figure, "test loss")[0]
    assert np.allclose(loss.y, run.dataset("losses")["test_loss"].values)
    known = np.isfinite(run.dataset("llc")["llc"].values)
    points = [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "markers"]
    drawn = [step for trace in points for step in trace.customdata]
    assert sorted(drawn) == run.dataset("llc")["step"].values[known].tolist()


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_metric_that_a_panel_names_is_drawn_with_its_values(measured_run, system):
    run = dx.open(measured_run(system))
    figure = dx.figures.stage_analysis(run)
    curves = [np.asarray(trace.y) for trace in figure.data if "step" in (trace.hovertemplate or "")]
    metrics = run.dataset("metrics")
    name = {"language": "icl_score", "regression": "icl_score", "superposition": "irregularity"}.get(
        system, "weight_norm"
    )
    assert any(np.allclose(curve, metrics[name].values, equal_nan=True) for curve in curves)


def test_a_table_without_network_shows_its_curves_and_says_that_nothing_can_be_measured(table_run):
    run = table_run("llc,llc_se,loss,grad_norm")
    figure = dx.figures.development(run)
    assert np.allclose(named(figure, "test loss")[0].y, run.dataset("losses")["test_loss"].values)
    assert "imported from a table" in words(figure)
    analysis = dx.figures.stage_analysis(run)
    assert "<b>grad norm</b>" in words(analysis)
    assert len(dx.figures.landscape(run).layout.sliders[0].steps) > 10
    for refused in (dx.figures.trajectory, dx.figures.token_changes):
        with pytest.raises(NotMeasured, match="imported from a table"):
            refused(run)


def test_without_an_llc_its_panel_names_the_command_and_the_stages_are_those_of_the_loss(run_without):
    run = run_without("superposition", "llc")
    figure = dx.figures.stages(run)
    assert "--only llc" in words(figure)
    assert "boundaries are critical points of test_loss" in words(figure) or "one stage" in words(figure)
    with pytest.raises(NotMeasured, match="--only llc"):
        dx.figures.landscape(run)


def test_without_metrics_the_command_that_measures_them_is_named(run_without):
    run = run_without("superposition", "metrics")
    for figure in (dx.figures.stage_analysis, dx.figures.k_gons):
        with pytest.raises(NotMeasured, match="--only metrics"):
            figure(run)


def test_without_losses_the_training_loss_takes_their_place_and_tokens_are_refused(run_without):
    run = run_without("language", "losses")
    figure = dx.figures.stages(run)
    train = named(figure, "train loss")[0]
    assert np.allclose(train.y, run.dataset("checkpoints")["train_loss"].values, equal_nan=True)
    for refused in (dx.figures.token_changes, dx.figures.token_groups):
        with pytest.raises(NotMeasured, match="--only losses"):
            refused(run)


def test_a_metric_that_a_run_lacks_is_named_in_its_panel(run_without):
    run = run_without("language", "metrics/previous_token_score")
    assert "no previous_token_score in the group metrics" in words(dx.figures.stage_analysis(run))


def test_one_checkpoint_is_drawn_as_points(trained_run):
    path = trained_run("superposition")
    for checkpoint in sorted((path / "checkpoints").glob("*.safetensors"))[1:]:
        checkpoint.unlink()
    run = dx.open(path)
    dx.measure(run, [dx.TokenLosses(), dx.Metrics()], progress=False)
    figure = dx.figures.stage_analysis(run)
    points = [trace for trace in figure.data if "step" in (trace.hovertemplate or "")]
    assert len(points) > 5
    assert {trace.mode for trace in points} == {"markers"}
    assert "whole run is one stage" in words(dx.figures.stages(run))
    assert "No trajectory: " in words(dx.figures.development(run))


def test_figures_of_other_systems_say_whose_they_are(measured_run):
    run = dx.open(measured_run("regression"))
    with pytest.raises(InvalidSpec, match="only deep_linear"):
        dx.figures.staircase(run)
    with pytest.raises(InvalidSpec, match="only superposition"):
        dx.figures.k_gons(run)


def test_the_staircase_marks_what_theory_predicts(measured_run):
    run = dx.open(measured_run("deep_linear"))
    times = dx.saddle_times(run)
    figure = dx.figures.staircase(run)
    predicted = sorted(10 ** trace.x[0] - 1 for trace in layer(figure, "predicted"))
    assert np.allclose(predicted, np.sort(times["predicted"].values[np.isfinite(times["predicted"].values)]))


def test_k_gons_are_the_columns_of_the_weights(measured_run):
    run = dx.open(measured_run("superposition"))
    metrics = run.dataset("metrics").load()
    drawings = layer(dx.figures.k_gons(run), "columns")
    last, length, angle = drawings[-1], metrics["feature_norm"][-1], metrics["feature_angle"][-1]
    assert np.allclose(last.x, length * np.cos(angle), atol=1e-6)
    assert np.allclose(last.y, length * np.sin(angle), atol=1e-6)


def test_token_changes_have_one_row_a_stage_and_read_as_the_probe(measured_run):
    run = dx.open(measured_run("language"))
    stages = dx.find_stages(run, boundaries=[2])  # token losses are at steps 0, 1 and 6
    html = dx.figures.token_changes(run, 0, stages=stages)
    assert html.count('class="flow"') == stages.sizes["stage"] == 2
    change = dx.loss_change(run, stage=stages.isel(stage=1))
    said = f"{float(change[0, 0]):+.2f} nats".replace("-", "−")
    assert html.split('class="flow"')[2].count(said) >= 1
    with pytest.raises(InvalidSpec, match="no sequence 999"):
        dx.figures.token_changes(run, 999, stages=stages)


def test_a_stage_between_two_checkpoints_is_left_out_of_token_changes_by_name(measured_run):
    run = dx.open(measured_run("language"))
    html = dx.figures.token_changes(run, 0, stages=dx.find_stages(run, boundaries=[2, 4]))
    assert html.count('class="flow"') == 2
    assert "measured at one checkpoint alone: S3." in html
    losses = run.dataset("losses").isel(step=[0])
    with pytest.raises(
        InvalidSpec, match="no stage has token losses at two checkpoints; they are measured at 1"
    ):
        dx.figures.token_changes(losses, run=run)


def test_positions_of_regression_stand_in_for_tokens(measured_run):
    run = dx.open(measured_run("regression"))
    html = dx.figures.token_changes(run, stages=dx.find_stages(run, boundaries=[2]))
    assert html.count("> 4 </span>") == 2
    assert "Cells: examples of the probe, means of" in html


def test_modes_of_one_input_each_stand_side_by_side(measured_run):
    run = dx.open(measured_run("deep_linear"))
    html = dx.figures.token_changes(run, stages=dx.find_stages(run, boundaries=[2]))
    values = run.dataset("probe")["teacher_value"].values
    first = html.split('class="flow"')[1].split("</p>")[0]
    assert [float(cell) for cell in re.findall(r"> ([\d.]+) </span>", first)] == [
        float(f"{value:.2g}") for value in values
    ]
    assert "Cells: modes of the probe, by teacher value." in html


def test_places_are_told_from_1_and_by_the_probes_own_names(measured_run):
    run = dx.open(measured_run("superposition"))
    value = float(run.dataset("probe")["value"].values[2])
    figure = dx.figures.token_history(run, 1, 2)
    assert f"feature 2 of {run.dataset('losses').sizes['sequence']}, value {value:.2g}" in words(figure)
    html = dx.figures.token_changes(dx.open(measured_run("language")), 0)
    assert "Text 1 of " in html


def test_own_text_is_told_as_such_and_goes_all_the_way(trained_run, measured_run):
    run = dx.open(measured_run("language"))
    losses = dx.token_losses(run, "a b a b")
    stages = dx.find_stages(run, boundaries=[2])
    own = {"run": run, "stages": stages}
    assert "Your own text." in dx.figures.token_changes(losses, **own)
    for figure in (
        dx.figures.token_groups(losses, **own),
        dx.figures.token_history(losses, 0, 0, **own),
        dx.figures.token_rankings(losses, "S1", **own),
    ):
        assert f"own text, read by {run.name}" in words(figure)
    with pytest.raises(InvalidSpec, match="whose stages"):
        dx.figures.token_groups(losses)
    theirs = losses.assign_attrs(run="another")
    with pytest.raises(InvalidSpec, match="losses of the run another, not of"):
        dx.figures.token_history(theirs, 0, 0, run=run)
    assert "own text" in words(dx.figures.token_groups(theirs, **own))


def test_rankings_of_a_stage_that_is_not_there_name_those_that_are(measured_run):
    run = dx.open(measured_run("language"))
    stages = dx.find_stages(run, boundaries=[2])
    figure = dx.figures.token_rankings(run, "S2", by="position", stages=stages, n=3)
    near = dx.loss_change(run, 2, 6).attrs["step_from"]
    assert f"S2, step {near} → 6 (checkpoints nearest to 2 and 6)" in words(figure)
    with pytest.raises(InvalidSpec, match="no stage 'S9' among S1, S2"):
        dx.figures.token_rankings(run, "S9", stages=stages)


def test_dark_figures_are_dark(measured_run):
    run = dx.open(measured_run("superposition"))
    light, dark = (dx.figures.stages(run, theme=theme).layout.paper_bgcolor for theme in ("light", "dark"))
    assert (light, dark) == ("#ffffff", "#171a1e")


def test_a_theme_that_is_none_is_refused_with_the_names_there_are(measured_run):
    run = dx.open(measured_run("language"))
    for figure in (dx.figures.stages, dx.figures.agreement, dx.figures.token_changes):
        for name in ("solar", "", ["dark"], None):
            with pytest.raises(InvalidSpec, match="expected 'light' or 'dark', got"):
                figure(run, theme=name)
    with pytest.raises(InvalidSpec, match="expected 'light' or 'dark', got 'solar'"):
        dx.figures.token_rankings(run, None, theme="solar")


def test_strokes_are_explained_where_boundaries_by_hand_are_drawn(measured_run):
    run = dx.open(measured_run("superposition"))
    by_hand = dx.find_stages(run, boundaries=[2])
    assert "Dashed: by hand; dotted: on the curve." in words(dx.figures.stages(run, stages=by_hand))
    assert "Dashed" not in words(dx.figures.stages(run, stages=dx.find_stages(run, boundaries=[])))


def test_several_runs_say_whose_stages_they_are_over(measured_run):
    run = dx.open(measured_run("superposition"))
    assert f"The stages are those of {run.name}." in words(dx.figures.developments([run, run]))
    assert "The stages are those of" not in words(dx.figures.developments(run))


def test_metrics_are_called_as_over_their_panels():
    titles = metric_titles("superposition")
    assert titles["irregularity"] == "Distance from the k-gon"
    assert titles["kgon_loss"] == "Exact loss: of its k-gon"
    assert metric_titles("table") == {}


def test_a_line_or_a_single_plane_is_no_trajectory_and_says_how_many_checkpoints_there_are(measured_run):
    run = dx.open(measured_run("deep_linear"))
    flat = dx.essential_dynamics(run, n_components=2)
    said = f"{flat.sizes['step']} checkpoints are too few for 3 components"
    assert said in words(dx.figures.development(run, dynamics=flat))
    with pytest.raises(NotMeasured, match=said):
        dx.figures.trajectory(run, dynamics=flat)
