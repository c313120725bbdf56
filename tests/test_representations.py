"""What runs, stages and forms show in a notebook: their own numbers, escaped, and never in the way."""

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from html import unescape

import numpy as np
import pytest
import xarray as xr

import devexplore as dx
from devexplore.representations import dataset_html, run_html

EVIL = '<script>alert(1)</script><img src=x onerror="alert(2)">&amp;'


@pytest.fixture(scope="module")
def run() -> dx.Run:
    return dx.open("superposition")


@pytest.fixture(scope="module")
def stages(run) -> xr.Dataset:
    return dx.find_stages(run)


@pytest.fixture(scope="module")
def forms(run) -> xr.Dataset:
    return dx.find_forms(dx.essential_dynamics(run), max_p=1, n_surrogates=19)


def cells(html: str) -> list[list[str]]:
    """The rows of our table, as text."""
    table = re.search(r"<table>.*?</table>", html, re.DOTALL)
    assert table
    root = ElementTree.fromstring(table.group().replace("colspan=2", 'colspan="2"'))
    return [["".join(cell.itertext()) for cell in row.iter("td")] for row in root.iter("tr")][1:]


def test_a_run_shows_what_it_is_what_is_measured_and_how_to_go_on(run):
    html = run_html(run)
    text = unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", html))
    assert run.name in text
    assert "toy model of superposition" in text
    for group in ("losses", "llc", "metrics", "outputs/predictions"):
        assert re.search(rf"{group}\s+{run.dataset(group).sizes['step']:,}", text), group
    assert "dx.explore(run)" in text
    assert "trusted" in text
    assert html.count("<svg") == 1
    assert len(html.encode()) < 45_000


def test_a_run_without_measurements_says_how_to_make_them(trained_run):
    run = dx.open(trained_run("superposition"))
    html = run_html(run)
    assert "Nothing is measured yet." in html
    assert run.measure_command("losses,llc") in unescape(html)
    assert "<svg" not in html


def test_a_run_whose_store_is_damaged_falls_back_to_text(measured_run):
    path = measured_run("superposition")
    for file in (path / "measurements.zarr" / "llc").rglob("zarr.json"):
        file.write_text("{", encoding="utf-8")
    run = dx.open(path)
    assert run_html(run) is None
    assert repr(run).startswith(f"Run({str(path)!r}, system='superposition', groups=")


def test_a_run_of_a_hostile_name_is_text(measured_run, tmp_path):
    path = shutil.copytree(measured_run("superposition"), tmp_path / "copy")
    recipe = path / "run.json"
    held = json.loads(recipe.read_text(encoding="utf-8"))
    recipe.write_text(json.dumps(held | {"name": EVIL}), encoding="utf-8")
    run = dx.open(path)
    assert run.name == EVIL
    html = run_html(run)
    assert "<script" not in html
    assert "<img" not in html
    assert EVIL in unescape(html)


def test_stages_are_a_table_of_their_numbers_over_xarrays_own(stages):
    html = dataset_html(stages)
    rows = cells(html)
    assert [row[0] for row in rows] == [str(name) for name in stages["name"].values]
    assert [row[1] for row in rows] == [
        f"{start:,.0f} – {end:,.0f}"
        for start, end in zip(stages["start"].values, stages["end"].values, strict=True)
    ]
    for row, delta, error in zip(
        rows, stages["delta_llc"].values, stages["delta_llc_se"].values, strict=True
    ):
        value = float(row[4].replace("−", "-"))
        assert value == pytest.approx(delta, abs=0.5 * error)
        assert float(row[5].removeprefix("± ")) == pytest.approx(error, rel=0.06)
    assert "Δ loss (squared error)" in html
    folded = html[html.index("<details>") :]
    assert "xr-wrap" in folded
    assert "boundary_persistence" in folded


def test_the_type_of_a_stage_is_its_chip_in_the_colours_of_the_page(stages):
    html = dataset_html(stages)
    kinds = stages["type"].values.astype(str).tolist()
    assert re.findall(r'class="chip (\w+)"', html) == kinds
    assert html.count("--dx-stage-0:") == 2  # light, and dark


def test_forms_are_a_table_and_one_form_too(forms):
    rows = cells(dataset_html(forms))
    assert len(rows) == forms.sizes["form"] > 0
    assert [row[1] for row in rows] == [f"{step:,.0f}" for step in forms["step"].values]
    one = dataset_html(forms.isel(form=0))
    assert cells(one)[0][1:] == rows[0][1:]
    assert "dx.lift(run, form)" in one
    none = dataset_html(forms.isel(form=slice(0)))
    assert "No forms" in none
    assert "<table>" not in none


def test_other_datasets_are_xarrays_and_so_are_parts_that_lack_what_is_shown(run, stages, forms):
    others = [
        run.dataset("llc"),
        stages[["start", "end"]],
        stages.isel(stage=0),
        stages.isel(stage=slice(0)),
        forms.drop_vars("p_value"),
        xr.Dataset(attrs={"kind": ["stages"]}),
        xr.Dataset(attrs={"kind": "stages"}),
        xr.Dataset(),
    ]
    for dataset in others:
        html = dataset_html(dataset)
        assert 'class="chip' not in html
        assert "xr-wrap" in html


def test_names_and_notes_of_other_people_are_text(stages, forms):
    told = stages.copy()
    count = stages.sizes["stage"]
    told["name"] = ("stage", np.array([EVIL] * count, dtype=object))
    told["note"] = ("stage", np.array([EVIL] * count, dtype=object))
    told["boundary_kind"] = ("stage", np.array([EVIL] * count, dtype=object))
    told["delta_loss"].attrs["units"] = EVIL
    told.attrs["note"] = EVIL
    for html in (dataset_html(told), dataset_html(forms.assign_attrs(conclusion=EVIL))):
        ours = html[: html.index("<details>")]
        assert "<script" not in ours
        assert "<img" not in ours
        assert "alert(1)" in ours


def test_tables_are_bounded():
    step = np.arange(1, 3000)
    crowd = dx.find_stages(step, llc=np.sin(step / 9.0), boundaries=np.arange(5, 2900, 5))
    html = dataset_html(crowd)
    assert "The first 60 of " in html
    assert len(html[: html.index("<details>")].encode()) < 60_000


def test_showing_changes_nothing(stages, forms):
    for dataset in (stages, forms):
        before = dataset.copy(deep=True)
        ours = [dataset_html(dataset).partition("<details>")[0] for _ in range(2)]  # xarray's are numbered
        assert ours[0] == ours[1]
        xr.testing.assert_identical(dataset, before)


IN_IPYTHON = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
{before}
import devexplore as dx
import numpy as np, xarray as xr
heavy = [name for name in ("torch", "panel", "plotly", "sklearn") if name in sys.modules]
step = np.arange(1, 40)
stages = dx.find_stages(step, llc=np.sin(step / 9.0))
html = shell.display_formatter.format(stages)[0].get("text/html", "")
other = shell.display_formatter.format(xr.Dataset({{"a": 1}}))[0]["text/html"]
print(heavy, 'class="chip' in html, "mine" == html, "xr-wrap" in other)
"""


def shown(before: str) -> str:
    code = IN_IPYTHON.format(before=before)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_ipython_shows_stages_as_tables_and_loads_nothing_heavy_for_it():
    assert shown("") == "[] True False True"


def test_a_formatter_of_the_users_own_stays():
    mine = (
        "import xarray; html = shell.display_formatter.formatters['text/html']; "
        "html.for_type(xarray.Dataset, lambda one: 'mine' if 'stage' in one.dims else one._repr_html_())"
    )
    assert shown(mine) == "[] False True True"
