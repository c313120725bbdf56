"""Importing is light: torch and panel come when they are needed, and every public name is there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import devexplore as dx

HEAVY = ("torch", "panel", "plotly", "bokeh", "sklearn")


def loaded_by(code: str) -> list[str]:
    """Which heavy packages a fresh interpreter has loaded after this code."""
    code = f"import json, sys\n{code}\nprint(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_importing_devexplore_loads_nothing_heavy():
    assert loaded_by("import devexplore") == []


def test_opening_a_run_and_reading_it_loads_nothing_heavy(measured_run):
    path = measured_run("superposition")
    code = (
        f"import devexplore as dx; run = dx.open({str(path)!r}); run.groups; run.checkpoints.steps\n"
        "run.dataset('llc').load(); dx.bundled_runs()"
    )
    assert loaded_by(code) == []


def test_the_command_line_parses_and_refuses_without_loading_anything_heavy(tmp_path: Path):
    code = f"from devexplore.cli import main; assert main(['check', {str(tmp_path / 'gone')!r}]) == 2"
    assert loaded_by(code) == []


def test_every_public_name_resolves_to_what_it_is_called():
    assert dx.figures.__name__ == "devexplore.figures"
    assert dx.widgets.__name__ == "devexplore.app.widgets"
    for name in set(dx.__all__) - {"figures", "widgets"}:
        value = getattr(dx, name)
        assert callable(value), name
        if name not in ("open", "measure"):
            assert value.__name__ == name
    assert set(dir(dx)) == set(dx.__all__)


def test_measure_stays_a_function_whatever_was_imported_before():
    code = "import devexplore as dx; dx.LLC; assert callable(dx.measure); assert dx.measure.LLC is dx.LLC"
    assert "torch" in loaded_by(code)


def test_an_unknown_name_is_an_attribute_error_that_lists_the_known_ones():
    with pytest.raises(AttributeError, match=r"'opne'; it has .*open"):
        dx.opne  # noqa: B018
