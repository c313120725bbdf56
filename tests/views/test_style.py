"""Colours: told apart by everybody, readable, and written in one file only."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from devexplore.views.style import DARK, LIGHT, TOKEN_STRENGTH, band, css_variables, stage_shades

PACKAGE = Path(__file__).parents[2] / "devexplore"

# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB
DEFICIENCIES = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour):
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = np.cbrt(np.clip(xyz / [0.9505, 1.0, 1.089], 1e-6, None))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(first, second):
    light, dark = sorted((float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (first, second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("deficiency", [None, *DEFICIENCIES])
def test_fell_and_rose_are_told_apart_by_colour_blind_eyes(theme, deficiency):
    matrix = np.eye(3) if deficiency is None else np.array(DEFICIENCIES[deficiency])
    seen = [lab(np.clip(matrix @ linear(c), 0, 1)) for c in (theme.fell, theme.rose)]
    assert np.linalg.norm(seen[0] - seen[1]) > 20


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("deficiency", [None, *DEFICIENCIES])
def test_runs_are_told_apart_by_colour_blind_eyes_and_stand_out_from_the_ground(theme, deficiency):
    matrix = np.eye(3) if deficiency is None else np.array(DEFICIENCIES[deficiency])
    seen = [lab(np.clip(matrix @ linear(c), 0, 1)) for c in theme.runs]
    for first, second in combinations(seen, 2):
        assert np.linalg.norm(first - second) > 25
    assert all(contrast(colour, theme.surface) > 3 for colour in theme.runs)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground(theme):
    for ground in (theme.page, theme.surface, theme.sunken):
        assert contrast(theme.ink, ground) > 7
        assert contrast(theme.muted, ground) > 4.5
    assert contrast(theme.fell, theme.surface) > 4.5
    assert contrast(theme.rose, theme.surface) > 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_the_text_of_the_most_changed_token_can_be_read(theme):
    share = TOKEN_STRENGTH / 100
    for colour in (theme.fell, theme.rose):
        over, under = ([int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (colour, theme.surface))
        mixed = "#" + "".join(
            f"{round(share * a + (1 - share) * b):02x}" for a, b in zip(over, under, strict=True)
        )
        assert contrast(theme.ink, mixed) > 4.5


def test_stages_of_one_type_that_follow_each_other_differ_in_shade():
    shades = stage_shades(["A", "A", "B", "A", "undecided"], LIGHT)
    assert len(set(shades)) == 5
    assert shades[0] in LIGHT.warm
    assert shades[2] in LIGHT.cool
    assert shades[4] in LIGHT.undecided
    assert len(set(stage_shades(["A"] * 20, DARK))) == 20


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("kind", ["A", "B", "undecided"])
@pytest.mark.parametrize("deficiency", [None, *DEFICIENCIES])
def test_six_stages_of_one_type_are_told_apart_in_their_order_by_colour_blind_eyes(theme, kind, deficiency):
    matrix = np.eye(3) if deficiency is None else np.array(DEFICIENCIES[deficiency])
    shades = stage_shades([kind] * 6, theme)
    seen = [lab(np.clip(matrix @ linear(c), 0, 1)) for c in shades]
    assert all(np.linalg.norm(first - second) > 7.5 for first, second in combinations(seen, 2))
    away = np.diff([contrast(shade, theme.surface) for shade in shades])
    assert (away > 0).all()
    assert contrast(shades[0], theme.surface) > 3


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("deficiency", [None, *DEFICIENCIES])
def test_no_stage_of_type_a_looks_like_one_of_type_b_to_colour_blind_eyes(theme, deficiency):
    matrix = np.eye(3) if deficiency is None else np.array(DEFICIENCIES[deficiency])
    warm, cool = (
        [lab(np.clip(matrix @ linear(c), 0, 1)) for c in options] for options in (theme.warm, theme.cool)
    )
    assert all(np.linalg.norm(a - b) > 35 for a in warm for b in cool)


def test_bands_are_warm_for_a_and_cool_for_b():
    assert (band("A", LIGHT), band("B", LIGHT)) == (LIGHT.warm_band, LIGHT.cool_band)
    assert band("undecided", LIGHT) == LIGHT.undecided_band


def test_every_colour_that_the_style_sheets_use_is_defined_for_both_themes():
    defined = css_variables()
    used = set()
    for file in [*PACKAGE.glob("app/css/*.css"), *PACKAGE.glob("app/javascript/*.js")]:
        used |= set(re.findall(r"var\(--([a-z0-9-]+)[,)]", file.read_text(encoding="utf-8")))
    sizes = {"rows", "rows-rest", "columns", "columns-rest"}
    used -= {"shade", "track", "pin", *sizes}  # set on the element by the page
    common, light, dark = defined.split("\n")
    for name in used:
        assert f"--{name}:" in common or (f"--{name}:" in light and f"--{name}:" in dark), name


def test_colours_are_written_in_the_style_file_only():
    for folder, pattern in (("views", "*.py"), ("app", "**/*.*")):
        for file in PACKAGE.joinpath(folder).glob(pattern):
            if file.name == "style.py" or file.suffix not in (".py", ".js", ".css"):
                continue
            found = re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\((?!0, ?0, ?0)", file.read_text(encoding="utf-8"))
            assert found == [], file
