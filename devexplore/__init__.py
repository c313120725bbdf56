"""Watch neural networks develop: local learning coefficient and essential dynamics over training checkpoints.

>>> import devexplore as dx
>>> run = dx.open("language")
>>> ed = dx.essential_dynamics(run)
>>> stages = dx.find_stages(run)

Importing this package loads neither torch nor panel nor Plotly; each public name loads what it needs when it
is first used. It gives xarray the accessor ``.dx`` (``run.tree.dx.stages()``), and IPython the tables that
stages and forms show themselves as.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from devexplore import accessor, representations

if TYPE_CHECKING:
    from devexplore import figures as figures
    from devexplore.analysis import essential_dynamics as essential_dynamics
    from devexplore.analysis import find_forms as find_forms
    from devexplore.analysis import find_stages as find_stages
    from devexplore.analysis import joint_dynamics as joint_dynamics
    from devexplore.analysis import llc_change as llc_change
    from devexplore.analysis import loss_change as loss_change
    from devexplore.analysis import loss_covariance as loss_covariance
    from devexplore.analysis import loss_history as loss_history
    from devexplore.analysis import mean_change as mean_change
    from devexplore.analysis import most_changed as most_changed
    from devexplore.analysis import when_learned as when_learned
    from devexplore.analysis.agreement import agreement as agreement
    from devexplore.analysis.annotations import Boundaries as Boundaries
    from devexplore.analysis.change_points import change_points as change_points
    from devexplore.analysis.developments import Development as Development
    from devexplore.analysis.developments import developments as developments
    from devexplore.analysis.form_notes import form_notes as form_notes
    from devexplore.analysis.form_notes import note_form as note_form
    from devexplore.analysis.form_readings import read_form as read_form
    from devexplore.analysis.free_energy import free_energy as free_energy
    from devexplore.analysis.milestones import find_milestones as find_milestones
    from devexplore.analysis.own_boundaries import boundaries as boundaries
    from devexplore.analysis.own_boundaries import reset_boundaries as reset_boundaries
    from devexplore.analysis.own_boundaries import save_boundaries as save_boundaries
    from devexplore.analysis.reference_distances import reference_distances as reference_distances
    from devexplore.analysis.saddle_times import saddle_times as saddle_times
    from devexplore.analysis.turn_centers import circle_center as circle_center
    from devexplore.app import widgets as widgets
    from devexplore.app.explore import explore as explore
    from devexplore.app.report import report as report
    from devexplore.app.selection import Selection as Selection
    from devexplore.calibration import calibrate as calibrate
    from devexplore.checkpoints import LocalCheckpoints as LocalCheckpoints
    from devexplore.errors import DevexploreError as DevexploreError
    from devexplore.importers.table import import_table as import_table
    from devexplore.measure import LLC as LLC
    from devexplore.measure import Metrics as Metrics
    from devexplore.measure import Outputs as Outputs
    from devexplore.measure import References as References
    from devexplore.measure import RefinedLLC as RefinedLLC
    from devexplore.measure import TokenLosses as TokenLosses
    from devexplore.measure import TokenTraces as TokenTraces
    from devexplore.measure import measure as measure
    from devexplore.measure import share_probe as share_probe
    from devexplore.measure.any_language_model import language_metrics as language_metrics
    from devexplore.measure.lift import lift as lift
    from devexplore.measure.own_text import token_losses as token_losses
    from devexplore.run import Run as Run
    from devexplore.run import bundled_runs as bundled_runs
    from devexplore.run import open_run as open  # noqa: F401 - lazily re-exported under another name

__version__ = "0.1.0"

_HOMES = {
    "agreement": "analysis.agreement",
    "Development": "analysis.developments",
    "developments": "analysis.developments",
    "find_milestones": "analysis.milestones",
    "LLC": "measure",
    "Boundaries": "analysis.annotations",
    "DevexploreError": "errors",
    "LocalCheckpoints": "checkpoints",
    "Metrics": "measure",
    "Outputs": "measure",
    "References": "measure",
    "RefinedLLC": "measure",
    "Run": "run",
    "Selection": "app.selection",
    "TokenLosses": "measure",
    "TokenTraces": "measure",
    "boundaries": "analysis.own_boundaries",
    "bundled_runs": "run",
    "calibrate": "calibration",
    "change_points": "analysis.change_points",
    "circle_center": "analysis.turn_centers",
    "essential_dynamics": "analysis",
    "explore": "app.explore",
    "find_forms": "analysis",
    "find_stages": "analysis",
    "import_table": "importers.table",
    "form_notes": "analysis.form_notes",
    "free_energy": "analysis.free_energy",
    "joint_dynamics": "analysis",
    "language_metrics": "measure.any_language_model",
    "lift": "measure.lift",
    "llc_change": "analysis",
    "loss_change": "analysis",
    "loss_covariance": "analysis",
    "loss_history": "analysis",
    "mean_change": "analysis",
    "measure": "measure",
    "most_changed": "analysis",
    "note_form": "analysis.form_notes",
    "open": "run",
    "read_form": "analysis.form_readings",
    "reference_distances": "analysis.reference_distances",
    "report": "app.report",
    "reset_boundaries": "analysis.own_boundaries",
    "save_boundaries": "analysis.own_boundaries",
    "saddle_times": "analysis.saddle_times",
    "share_probe": "measure",
    "token_losses": "measure.own_text",
    "when_learned": "analysis",
}
_OTHER_NAMES = {"open": "open_run"}
_MODULES = {"figures": "figures", "widgets": "app.widgets"}

__all__ = sorted([*_HOMES, *_MODULES])


accessor.register()
if "IPython" in sys.modules:
    representations.install()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"devexplore.{_MODULES[name]}")
    if name not in _HOMES:
        raise AttributeError(f"module 'devexplore' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(f"devexplore.{_HOMES[name]}"), _OTHER_NAMES.get(name, name))


def __dir__() -> list[str]:
    return __all__
