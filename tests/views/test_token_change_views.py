"""Views of per-token change: the numbers are those given, text stays text, nothing of it is markup."""

import re

import numpy as np
import plotly.graph_objects as go
import pytest
import xarray as xr

from devexplore.analysis import loss_change, loss_history, mean_change, most_changed, when_learned
from devexplore.errors import InvalidSpec
from devexplore.views.coloured_text import coloured_text
from devexplore.views.learning import learning_figure, learning_table
from devexplore.views.stages import stage_marks
from devexplore.views.style import DARK, LIGHT, TOKEN_STRENGTH, blend
from devexplore.views.token_history import history_figure
from devexplore.views.token_rankings import ranking_figure
from devexplore.views.token_words import change_words, end_of, place_words, word

STEPS = np.unique(np.geomspace(1, 10_000, 60).round()).astype(int) - 1
X = np.log1p(STEPS)
READ = ["<b>", " the", "\n", "&amp;", "</span>", "a", " b", "c"]
THEMES = pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])


@pytest.fixture
def text_losses() -> xr.Dataset:
    """Five texts of seven predictions, learned one after the other; the last rises."""
    falls = [6 - 5 / (1 + np.exp(-4 * (X - at))) for at in np.linspace(2, 8, 6)]
    rise = 3 + 4 / (1 + np.exp(-4 * (X - 5)))
    scale = 1 + 0.1 * np.arange(5)
    values = np.stack([*falls, rise], axis=1)[:, None] * scale[:, None]
    words = np.array([READ] * 5, dtype=object)
    place = ("sequence", "position")
    return xr.Dataset(
        {
            "token_loss": (("step", *place), values, {"units": "nats"}),
            "token_text": (place, words[:, :-1]),
            "target_text": (place, words[:, 1:]),
        },
        coords={"step": STEPS},
    )


@pytest.fixture
def two_stages() -> xr.Dataset:
    return xr.Dataset(
        {
            "start": ("stage", [0, 200]),
            "end": ("stage", [200, 9_999]),
            "type": ("stage", np.array(["A", "B"], dtype=object)),
            "name": ("stage", np.array(["S1", "S2"], dtype=object)),
            "delta_loss": ("stage", [-1.0, -1.0]),
            "delta_llc": ("stage", [3.0, -1.0]),
            "delta_llc_se": ("stage", [0.1, 0.1]),
        }
    )


def test_words_show_their_white_space_and_are_no_markup() -> None:
    assert word("\n <b>") == "↵␣&lt;b&gt;"
    assert end_of("one two", 3) == "…two"
    assert end_of("two", 3) == "two"


def notes(figure: go.Figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


def key(figure: go.Figure) -> list[go.Scatter]:
    return [trace for trace in figure.data if trace.showlegend]


def test_places_are_counted_from_1_unless_they_have_labels() -> None:
    attrs = {"sequence_name": "text", "sequences": 32}
    assert place_words(attrs, 9, 60) == "text 10 of 32, position 61"
    labels = {"sequence": {0: "2.5"}, "position": {0: "1"}}
    assert place_words({"sequence_name": "mode", "sequences": 4}, 0, 0, labels) == "mode 2.5, position 1"


def test_a_change_tells_its_stage_and_the_checkpoints_that_stand_for_its_ends() -> None:
    used = {"step_from": 400, "step_to": 11_200}
    asked = {"asked_from": 388.0, "asked_to": 11_181.0, "stage": "S3"}
    assert change_words(used) == "step 400 → 11,200"
    assert change_words(used | asked) == "S3, step 400 → 11,200 (checkpoints nearest to 388 and 11,181)"
    assert change_words({"units": "nats"}) == ""


@THEMES
def test_bars_are_the_ranking_red_where_the_loss_fell(text_losses: xr.Dataset, theme) -> None:
    change = loss_change(text_losses, 0, 9_999)
    improved, worsened = most_changed(change, n=4), most_changed(change, n=4, direction="worsened")
    fell, rose = ranking_figure(improved, worsened, theme=theme).data
    np.testing.assert_allclose(fell.x, improved["loss_change"])
    np.testing.assert_allclose(rose.x, worsened["loss_change"])
    assert (fell.marker.color, rose.marker.color) == (theme.fell, theme.rose)


def test_a_predictions_label_ends_with_its_token_and_no_text_is_markup(text_losses: xr.Dataset) -> None:
    change = loss_change(text_losses, 0, 9_999)
    figure = ranking_figure(most_changed(change.isel(sequence=[0]), n=10))
    labels = dict(zip(figure.data[0].y, figure.layout.yaxis.ticktext, strict=True))
    assert any("step 0 → 9,999" in note for note in notes(figure))
    assert any(
        label == f'&lt;b&gt;␣the<span style="color:{LIGHT.ink}"><b>↵</b></span>' for label in labels.values()
    )
    ours = re.sub(r'<span style="color:#[0-9a-f]{6}">|</span>|</?b>', "", "".join(labels.values()))
    assert "<" not in ours


def test_group_bars_have_their_error_and_count(text_losses: xr.Dataset) -> None:
    change = loss_change(text_losses, 0, 9_999)
    ranked = most_changed(change, by="token")
    (bars,) = ranking_figure(ranked).data
    np.testing.assert_allclose(bars.error_x.array, ranked["loss_change_se"])
    assert "5 predictions in 5 sequences" in bars.text[0]
    means = mean_change(change, "token").sel(target_text=ranked["target_text"].values)
    np.testing.assert_allclose(bars.x, means["loss_change"])


def test_an_empty_ranking_says_so(text_losses: xr.Dataset) -> None:
    nothing = most_changed(loss_change(text_losses, 0, 0))
    figure = ranking_figure(nothing)
    assert any("most improved</b> single predictions: none" in note for note in notes(figure))


@THEMES
def test_a_history_shows_every_checkpoint_and_its_half_way_step(text_losses, two_stages, theme) -> None:
    history = loss_history(text_losses, 0, 2)
    figure = history_figure(history, stage_marks(two_stages, theme), theme)
    dots, line = (next(t for t in figure.data if t.name == name) for name in ("checkpoints", "smoothed"))
    np.testing.assert_allclose(dots.x, np.log10(1 + STEPS))
    np.testing.assert_allclose(dots.y, history["token_loss"])
    np.testing.assert_allclose(line.y, history["smooth_loss"])
    upright, level = half_way(figure)
    assert upright.x[0] == pytest.approx(np.log10(1 + history["learned_step"].item()))
    assert level.y[0] == pytest.approx((history["early"] + history["late"]).item() / 2)
    said = f"sequence 1 of 5, position 3: half-way at step {history['learned_step'].item():,.0f}"
    assert {said, "&lt;b&gt;␣the↵<b>&amp;amp;</b>", "<b>S1</b>", "<b>S2</b>"} <= set(notes(figure))


def test_a_prediction_that_was_not_learned_has_no_half_way_step(text_losses: xr.Dataset) -> None:
    figure = history_figure(loss_history(text_losses, 0, 6))
    assert half_way(figure) == []
    assert "sequence 1 of 5, position 7: never learned" in notes(figure)


def half_way(figure: go.Figure) -> list[go.Scatter]:
    return [trace for trace in figure.data if (trace.meta or {}).get("layer") == "half-way"]


def lines_and_dots(figure: go.Figure) -> tuple[list[go.Scatter], list[go.Scatter]]:
    scatters = [
        t
        for t in figure.data
        if t.type == "scatter" and t.fill is None and t.legendgroup and not t.showlegend
    ]
    return tuple([trace for trace in scatters if trace.mode == mode] for mode in ("lines", "markers"))


@THEMES
def test_group_lines_are_the_mean_histories_and_dots_the_shares(text_losses, two_stages, theme) -> None:
    groups = when_learned(text_losses, two_stages)
    many = groups.assign(count=groups["count"] * 10)
    figure = learning_figure(many, stage_marks(two_stages, theme), theme)
    lines, dots = ({trace.legendgroup: trace for trace in kind} for kind in lines_and_dots(figure))
    assert set(lines) == set(dots) == {"S1", "S2", "never learned"}
    for name, line in lines.items():
        np.testing.assert_allclose(line.y, groups["mean_loss"].sel(group=name))
        np.testing.assert_allclose(dots[name].x, 100 * groups["class_share"].sel(group=name))
    looks = [(line.line.color, line.line.dash) for line in lines.values()]
    assert len(set(looks)) == len(looks)
    told = {
        trace.legendgroup: (trace.line.color, trace.line.dash, trace.marker.symbol)
        for trace in key(figure)[:-1]
    }
    assert told == {
        name: (line.line.color, line.line.dash, dots[name].marker.symbol) for name, line in lines.items()
    }


def test_the_foot_of_groups_tells_what_is_drawn_and_how_it_was_chosen(text_losses, two_stages) -> None:
    groups = when_learned(text_losses, two_stages)
    foot = notes(learning_figure(groups)).pop().replace("<br>", " ")
    assert f"Never learned: it never fell {groups.attrs['min_fall']:.2g} nats below the first." in foot
    assert "Unlearned" not in foot
    assert "without marks on the right, of fewer than 30: S1, S2, never learned." in foot
    assert "chosen by the very losses that are shown" in foot
    assert "quarters" not in foot
    quarters = notes(learning_figure(when_learned(text_losses))).pop()
    assert quarters.startswith("Groups: quarters of the learned predictions")


def test_a_legend_of_many_long_names_stays_above_the_panels(text_losses) -> None:
    start = np.array([0, 5, 10, 50, 100, 1_000])
    stages = xr.Dataset(
        {"start": ("stage", start), "end": ("stage", [*start[1:], 9_999])}
        | {"name": ("stage", np.array([f"a name too long {i}" for i in range(6)], dtype=object))}
    )
    groups = when_learned(text_losses, stages)
    one = groups["count"] * 0 + (np.arange(8) == 0)
    few, many = (learning_figure(groups.assign(count=counts)) for counts in (one, one * 0 + 1))
    assert many.layout.height - few.layout.height >= 29
    assert all(len(trace.name) < 24 for trace in key(many))


def test_a_group_of_a_few_is_drawn_thin_and_without_shares(text_losses, two_stages) -> None:
    figure = learning_figure(when_learned(text_losses, two_stages))
    lines, dots = lines_and_dots(figure)
    assert [line.line.width for line in lines] == [1, 1, 1]
    assert dots == []


def test_runs_without_text_show_histories_alone(text_losses, two_stages) -> None:
    groups = when_learned(text_losses[["token_loss"]], two_stages)
    figure = learning_figure(groups)
    assert not any(trace.type == "bar" for trace in figure.data)
    table = learning_table(groups)
    assert "typical tokens" not in table
    assert "S1" in table


@THEMES
def test_the_table_tells_each_group_that_has_members_and_escapes_its_text(
    text_losses, two_stages, theme
) -> None:
    groups = when_learned(text_losses, two_stages)
    table = learning_table(groups, theme=theme)
    text = re.sub(r"<style>.*?</style>", "", table, flags=re.S)
    assert text.count("<tr><td><b>") == int((groups["count"] > 0).sum())
    assert "&lt;/span&gt;" in text
    assert "&amp;amp;" in text
    assert set(re.findall(r"<(\w+)", text)) <= {
        "div", "table", "thead", "tbody", "tr", "th", "td", "b", "p", "bdi", "i", "span", "small", "br",
    }  # fmt: skip


def grounds(html: str) -> list[str]:
    return re.findall(r"background-color:(#[0-9a-f]{6})", html[html.index('<p class="flow"') :])


@THEMES
def test_text_is_coloured_by_its_change_symmetrically(theme) -> None:
    place = ("sequence", "position")
    change = xr.DataArray(
        [[-2.0, 2.0, 0.0, 1.0, np.nan, -8.0]],
        dims=place,
        coords={
            "sequence": [0],
            "token_text": (place, np.array([["A", "b", "c", "d", "e", "f"]], object)),
            "target_text": (place, np.array([["b", "c", "d", "e", "f", "<g>"]], object)),
        },
        attrs={"units": "nats", "step_from": 10, "step_to": 4_000},
    )
    html = coloured_text(change, limit=4.0, theme=theme)
    full, fell, rose = TOKEN_STRENGTH / 100, theme.fell, theme.rose
    shares = [(fell, full / 2), (rose, full / 2), (rose, 0), (rose, full / 4), (fell, full)]
    assert grounds(html) == [blend(colour, theme.surface, share) for colour, share in shares]
    assert grounds(html)[2] == theme.surface
    assert "<style" not in html  # an untrusted notebook is shown without it
    assert "fell −4 nats" in html
    assert "rose +4 nats" in html
    assert "step 10 → 4,000" in html
    read = re.sub(r"<[^>]*>", "", html[html.index('<p class="flow"') :])
    assert read == "Abcdef&lt;g&gt;"


def test_windows_of_ones_own_text_run_on_and_are_shown_once() -> None:
    place = ("sequence", "position")
    change = xr.DataArray(
        [[1.0, 1.0, 1.0], [np.nan, np.nan, 1.0]],
        dims=place,
        coords={
            "sequence": [0, 1],
            "text": ("sequence", [7, 7]),
            "first_token": ("sequence", [0, 1]),
            "token_text": (place, np.array([["a", "b", "c"], ["b", "c", "d"]], object)),
            "target_text": (place, np.array([["b", "c", "d"], ["c", "d", "e"]], object)),
        },
    )
    html = coloured_text(change)
    assert html.count('<p class="flow"') == 1
    assert re.sub(r"<[^>]*>", "", html[html.index('<p class="flow"') :]) == "abcde"


def test_a_change_without_texts_cannot_be_read(text_losses: xr.Dataset) -> None:
    with pytest.raises(InvalidSpec, match="only probes of language runs"):
        coloured_text(loss_change(text_losses[["token_loss"]], 0, 100))
