"""How runs, stages and forms show themselves in a notebook.

``install`` tells IPython. A run knows nothing of drawing; stages and forms are Datasets, which show
themselves as xarray has it unless they say what they are (``attrs["kind"]``).
"""

import sys
from typing import TYPE_CHECKING, Any, Final

import xarray as xr

from devexplore.errors import DevexploreError
from devexplore.schema import (
    CHECKPOINTS,
    FORMS,
    KIND,
    LLC,
    LOSSES,
    METRIC_BLOCKS,
    OUTPUTS,
    PROBE,
    SHOWN,
    STAGES,
    STEP,
    TRUST,
)

if TYPE_CHECKING:
    from devexplore.run import Run

_FAILS: Final = (DevexploreError, OSError, LookupError, ValueError)
"""What reading a damaged or half-written run raises."""


_BESIDE: Final = (PROBE, METRIC_BLOCKS, TRUST)
"""Groups that come with others, and are not counted for themselves."""


def run_html(run: "Run") -> str | None:
    """The run as a card: what it is, what is measured, loss and LLC with the stages, how to go on.

    Reads losses and LLC alone. None, for IPython to show the text instead, where its store cannot be read.
    """
    from devexplore.analysis.trust import count_verdicts, trust
    from devexplore.app.describe import SYSTEM_WORDS
    from devexplore.views.cells import run_cell
    from devexplore.views.still import still

    try:
        measured = {
            group: run.dataset(group).sizes.get(STEP, 0)
            for group in run.groups
            if group not in _BESIDE and ("/" not in group or group.startswith(OUTPUTS))
        }
        facts = []
        if run.has(LLC):
            counts = count_verdicts(trust(run.dataset(LLC).load()))
            facts.append(f"LLC: {' · '.join(count.words for count in counts)}.")
        drawn = any(run.has(group) for group in (LOSSES, LLC, CHECKPOINTS))
        picture = still(run) if drawn else ""
    except _FAILS:
        return None
    hints = ["dx.explore(run)", "dx.find_stages(run)", "dx.figures.development(run)"]
    if not measured:
        facts, hints = ["Nothing is measured yet."], [run.measure_command("losses,llc")]
    return run_cell(run.name, SYSTEM_WORDS.get(run.system, run.system), measured, facts, picture, hints)


def dataset_html(dataset: xr.Dataset) -> str:
    """Stages and forms as tables, with xarray's own representation folded below; other Datasets as ever."""
    kind = dataset.attrs.get(KIND)
    plain = dataset._repr_html_()
    if not isinstance(kind, str) or not set(SHOWN.get(kind, ("?",))) <= set(dataset.variables):
        return plain
    if kind == STAGES and (dataset.sizes.get("stage", 0) == 0 or dataset["name"].dims != ("stage",)):
        return plain
    if kind == FORMS and dataset["step"].dims not in ((), ("form",)):
        return plain
    from devexplore.views.cells import forms_cell, stage_cell

    return stage_cell(dataset, plain) if kind == STAGES else forms_cell(dataset, plain)


def install() -> None:
    """In IPython, show runs as cards, stages and forms as tables; not where the user has a formatter for
    Datasets already.

    Does nothing outside IPython; to be called more than once does no harm.
    """
    if "IPython" not in sys.modules:
        return
    from IPython import get_ipython

    shell: Any = get_ipython()
    if shell is None:
        return
    html = shell.display_formatter.formatters["text/html"]
    try:
        html.lookup_by_type(xr.Dataset)
    except KeyError:
        html.for_type(xr.Dataset, dataset_html)
    html.for_type_by_name("devexplore.run", "Run", run_html)
