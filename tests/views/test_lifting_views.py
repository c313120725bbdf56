"""Views of a lift: figures show the numbers that were read, tables show text as text."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

from devexplore.analysis.form_readings import read_form
from devexplore.analysis.reference_distances import reference_distances
from devexplore.measure.reading import read_predictions
from devexplore.views.form_card import form_card
from devexplore.views.lifting import class_figure, distance_figure, weights_figure
from devexplore.views.predictions import prediction_table, visible
from devexplore.views.style import DARK, LIGHT, css_variables

TEXTS = ["<script>alert(1)</script>", " &amp;", "\n", "7", '"><b>', "\u202eolleh", "\t", "c"]
POSITIONS = np.arange(6)
OUR_TAGS = {"bdi", "b", "div", "h3", "h4", "i", "p", "small", "span", "style"}
OUR_TAGS |= {"table", "thead", "tbody", "tr", "th", "td"}


@pytest.fixture
def lifted() -> xr.Dataset:
    rng = np.random.default_rng(0)
    ids = rng.integers(len(TEXTS), size=(4, 7))
    ids[1, 3:] = -1  # a shorter text
    logits = 2 * rng.normal(size=(4, 4, 6, len(TEXTS)))
    read = read_predictions(logits, ids, POSITIONS, TEXTS, 3, 4)
    read["weights"] = ("checkpoint", [-0.25, 0.0, 0.75, 0.5])
    return read.assign_coords(
        predictor=["lifted", "nearest", "start", "end"],
        predictor_step=("predictor", [90.0, 100, 0, 1000]),
        checkpoint=[0, 10, 100, 1000],
    )


@pytest.fixture
def form(lifted: xr.Dataset) -> xr.Dataset:
    return xr.Dataset(
        {
            "weights": lifted["weights"],
            "step": 90.0,
            "step_low": 60.0,
            "step_high": 130.0,
            "p_value": 0.012,
            "strength": 3.5,
            "coordinates": ("component", [1.5, -2.0]),
        },
        coords={"checkpoint": lifted["checkpoint"]},
    )


class Page(HTMLParser):
    """Elements, the text of each cell and the classes seen, as a browser would take them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.classes: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.classes += (dict(attrs).get("class") or "").split()
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_bars_are_the_weights_and_their_colour_tells_the_sign(form: xr.Dataset, theme) -> None:
    figure = weights_figure(form, theme)
    (bars,) = figure.data
    np.testing.assert_allclose(bars.y, form["weights"])
    np.testing.assert_allclose(bars.x, np.log10([1, 11, 101, 1001]))
    assert list(bars.marker.color) == [theme.subtracted, theme.ink, theme.ink, theme.ink]
    assert "Σ|α| = 1.5" in figure.layout.title.text
    band, line = figure.layout.shapes
    assert (band.x0, band.x1) == pytest.approx((np.log10(61), np.log10(131)))
    assert line.x0 == pytest.approx(np.log10(91))


def test_the_weights_of_a_lift_can_be_drawn_as_those_of_its_form(lifted: xr.Dataset) -> None:
    figure = weights_figure(lifted)
    assert figure.layout.shapes[0].x0 == pytest.approx(np.log10(91))


def test_class_bars_and_whiskers_are_the_reading(lifted: xr.Dataset) -> None:
    reading = read_form(lifted)
    mass, gain = class_figure(reading).data
    target = reading.target_classes.dropna("target_class", subset=["log_prob_change"])
    np.testing.assert_allclose(gain.x, target["log_prob_change"])
    np.testing.assert_allclose(gain.error_x.array, target["log_prob_change_se"])
    assert [row.split(" (")[0] for row in gain.y] == target["target_class"].values.tolist()
    for row, value in zip(mass.y, mass.x, strict=True):
        known = reading.predicted_classes["mass_change"].sel(predicted_class=row.split(" (")[0])
        assert value == pytest.approx(100 * float(known))
    assert [c == LIGHT.fell for c in gain.marker.color] == [value > 0 for value in gain.x]


def test_distances_are_drawn_for_every_predictor_and_ideal() -> None:
    rng = np.random.default_rng(0)
    predictors, ideals = ["lifted", "path", "nearest", "start", "end"], ["zero", "ridge", "dmmse"]
    values = xr.Dataset(
        {
            "prediction": (("predictor", "sequence", "position"), rng.normal(size=(5, 20, 4))),
            "reference": (("ideal", "sequence", "position"), rng.normal(size=(3, 20, 4))),
        },
        coords={"predictor": predictors, "ideal": ideals},
        attrs={"system": "regression"},
    )
    distances = reference_distances(values)
    figure = distance_figure(distances)
    assert len(figure.data) == 15
    np.testing.assert_allclose(figure.data[0].y, distances["distance"].sel(predictor="lifted", ideal="zero"))
    styles = {(t.line.color, t.line.dash, t.marker.symbol) for t in figure.data}
    assert len(styles) == 5
    assert sum(trace.showlegend for trace in figure.data) == 5


def test_the_table_has_a_row_for_each_position_that_is_there(lifted: xr.Dataset) -> None:
    head, *rows = Page(prediction_table(lifted, 0)).rows
    assert [row[0] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert [title.split("step")[0] for title in head[4:]] == ["lifted", "nearest checkpoint", "start", "end"]
    assert len(Page(prediction_table(lifted, 1)).rows) == 1 + 3
    assert len(Page(prediction_table(lifted, 0, positions=[2, 5])).rows) == 1 + 2


def test_the_gain_is_over_the_reference_and_missing_without_a_target(lifted: xr.Dataset) -> None:
    _, *rows = Page(prediction_table(lifted, 1, reference="end")).rows
    log_prob = lifted["target_log_prob"].isel(sequence=1)
    expected = (log_prob.sel(predictor="lifted") - log_prob.sel(predictor="end")).values
    assert float(rows[0][3].replace("−", "-")) == pytest.approx(expected[0], abs=0.005)
    assert rows[2][2:4] == ["", ""]  # the last token of this text


def test_text_is_shown_as_text_whatever_it_holds(lifted: xr.Dataset, form: xr.Dataset) -> None:
    for html in (prediction_table(lifted), form_card(form, lifted, read_form(lifted))):
        page = Page(html)
        assert set(page.tags) <= OUR_TAGS
        words = "".join(cell for row in page.rows for cell in row)
        assert "<script>alert(1)</script>" in words
        assert "␣&amp;" in words  # the entity is not decoded, the blank is in sight
        assert "\n" not in words
        assert "\t" not in words


def test_white_space_is_in_sight() -> None:
    assert re.sub(r"<[^>]+>", "", visible(" a\n\tb")) == "␣a↵⇥b"


def test_the_true_token_is_framed_where_it_is_among_the_guesses(lifted: xr.Dataset) -> None:
    page = Page(prediction_table(lifted, 0, top=3, others=3))
    expected = (lifted["top_id"] == lifted["target_id"]).isel(sequence=0).sum()
    assert page.classes.count("true") == int(expected)


def test_a_card_says_what_the_form_knows_of_itself(lifted: xr.Dataset, form: xr.Dataset) -> None:
    card = form_card(form, lifted, read_form(lifted))
    for words in ("step 90 (60–130)", "p = 0.012", "strength 3.5", "PC1 +1.5, PC2 -2", "3 of 4 checkpoints"):
        assert words in card
    bare = form_card(form[["weights", "step"]], lifted, read_form(lifted, "start"), DARK)
    assert "p =" not in bare
    assert "Against start at step 0" in bare
    assert 'data-theme="dark"' in bare


def test_every_variable_of_the_style_is_defined(lifted: xr.Dataset, form: xr.Dataset) -> None:
    used = set(re.findall(r"var\(--([a-z0-9-]+)", form_card(form, lifted, read_form(lifted))))
    assert all(f"--{name}:" in css_variables() for name in used)
