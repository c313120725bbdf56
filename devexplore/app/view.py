"""A view of runs in a notebook: what ``dx.explore`` gives there, to be shown, moved and read."""

import html
import os
from concurrent.futures import wait
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pandas as pd
import plotly.graph_objects as go
import xarray as xr

from devexplore import figures
from devexplore.app.derived import DerivedRun
from devexplore.app.hosted import Hosted
from devexplore.app.local_server import frame, serve_view, stop_serving
from devexplore.app.pane import Look
from devexplore.app.panes import PANES
from devexplore.app.place import Place
from devexplore.app.report import report
from devexplore.app.runs import ServedRuns
from devexplore.app.select import require_among
from devexplore.app.selection import Selection
from devexplore.app.still import still_card
from devexplore.errors import InvalidSpec
from devexplore.run import Run

How = Literal["widget", "server", "browser"]

WAIT_TICKS, TICK_MS = 16, 500
"""How long the front end has to show a widget, counted while the kernel is idle."""


class View:
    """The explorer in a notebook. The last line of a cell shows it, and so does ``display(view)``, as often
    as wanted; all that is shown follows ``selection``.

    >>> view = dx.explore("language")
    >>> view.selection.step = 3400            # moves it
    >>> view.selection.param.watch(print, "step")   # is called when the user moves it
    >>> view.form, view.tokens()              # what the user looks at

    The page's changes arrive here between two cells, as all events of a notebook do.
    """

    def __init__(
        self,
        served: ServedRuns,
        selection: Selection,
        home: Place,
        height: int,
        how: How,
        why: str,
        *,
        falls_back: bool = False,
    ) -> None:
        self.id = uuid4().hex
        self.served, self.home = served, home
        self._selection, self._height = selection, height
        self._how: How = how
        self._why = why
        self._picture = ""
        self._falls_back = falls_back
        self._shown, self._times, self._live = False, 0, ""
        self._widget: Hosted | None = None
        require_among(selection, served)

    @property
    def selection(self) -> Selection:
        """What is looked at: change it to move what is shown; it changes when the user does."""
        return self._selection

    @property
    def how(self) -> How:
        """By what it is shown: a ``widget`` of the notebook, a ``server`` in a thread of the kernel, or the
        same in a ``browser`` tab of its own."""
        return self._how

    @property
    def why(self) -> str:
        """Why by that."""
        return self._why

    @property
    def run(self) -> Run:
        """The run that is looked at."""
        return self._derived.run

    @property
    def widget(self) -> Hosted:
        """The explorer as an ipywidget, for layouts of one's own."""
        if self._widget is None or self._widget.comm is None:  # it was closed
            self._widget = Hosted(self.served, self._selection, self.home, self._height, view=self.id)
            self._widget.on_picture = lambda picture: self.home.soon(partial(self._keep_picture, picture))
            self._widget.on_shown = self._show
            self._widget.on_failed = lambda why: self.home.soon(partial(self._fail, why))
        return self._widget

    @property
    def address(self) -> str:
        """Where a browser on this machine finds the same view; its server runs from now on."""
        return serve_view(self)

    @property
    def form(self) -> xr.Dataset | None:
        """The form that the user reads, one of ``dx.find_forms``; None where none is chosen.

        Waits until the forms are found.
        """
        if self._selection.form < 0:
            return None
        derived = self._derived
        derived.dynamics.wait()
        job = derived.forms
        forms = None if job is None else job.wait()
        if forms is None or self._selection.form >= forms.sizes["form"]:
            return None
        return forms.isel(form=self._selection.form)

    def tokens(self) -> pd.DataFrame:
        """What the page's tokens show: a row for each token of the sequence that is read, with its losses and
        its loss change over the chosen steps. Empty where the run has no losses of tokens.

        Waits until the stages are found, over which the change is taken by default.
        """
        wait([self._derived.stages.future])
        table = PANES["tokens"].table(self._look)
        return pd.DataFrame() if table is None else table

    def figure(self, name: str, **options: Any) -> go.Figure:
        """A figure of ``dx.figures`` of the run that is looked at: ``view.figure("trajectory")``.

        ``options`` go to that function. Raises ``InvalidSpec`` for a name that it has not.
        """
        if name not in figures.LAYERS:
            raise InvalidSpec(f"figure: expected one of {', '.join(figures.LAYERS)}, got {name!r}")
        return getattr(figures, name)(self.run, **options)

    def save(self, out: str | os.PathLike[str]) -> Path:
        """Write the page as one HTML file that opens with this view and needs no Python (``dx.report``)."""
        if Path(out).suffix.lower() not in (".html", ".htm"):
            raise InvalidSpec(
                f"save: expected a file that ends with .html, got {str(out)!r}; "
                "figures are saved by dx.figures.save"
            )
        return report(self.run, out, selection=self._selection)

    def close(self) -> None:
        """End what is shown of it; its picture stays in the notebook."""
        stop_serving(self)
        if self._widget is not None:
            self._widget.close()
            self._widget = None

    def __repr__(self) -> str:
        return f"<devexplore view of {', '.join(self.served)}: by {self._how} ({self._why})>"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        still = still_card(self.run, self.id, self._picture)
        if self._how == "server":
            served = frame(self, serve_view(self), self._height)
            display(self._bundle(still + served), raw=True, display_id=self.id)
            return
        if self._how == "browser":
            link = f'<a href="{self.address}" target="_blank">{self.address}</a>'
            display(self._bundle(still + link), raw=True, display_id=self.id)
            return
        self._shown, self._times = False, self._times + 1
        bundle = self.widget._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        display(self._bundle(still), raw=True, display_id=self.id)
        self._live = f"{self.id}-{self._times}"
        display(data, raw=True, display_id=self._live)
        if self._falls_back:
            self._expect_front_end()

    def _bundle(self, shown: str) -> dict[str, str]:
        """What a notebook keeps: HTML, and text where that cannot be shown."""
        return {"text/html": shown, "text/plain": repr(self)}

    @property
    def _derived(self) -> DerivedRun:
        name = self._selection.run
        if name not in self.served:
            raise InvalidSpec(f"selection.run: this view has {', '.join(self.served)}, not {name!r}")
        return self.served[name]

    @property
    def _look(self) -> Look:
        self._derived  # noqa: B018  says where the run is none of this view
        return Look(self.served, self._selection)

    def _keep_picture(self, picture: str) -> None:
        """What the browser drew, for those who read the notebook without a kernel."""
        from IPython.display import update_display

        self._picture = picture
        update_display(self._bundle(still_card(self.run, self.id, picture)), raw=True, display_id=self.id)

    def _show(self) -> None:
        self._shown = True

    def _fail(self, why: str) -> None:
        """The front end shows widgets, but not this one."""
        if self._falls_back and self._how == "widget":
            self._fall_back(f"the notebook's front end could not draw it ({why})")

    def _expect_front_end(self) -> None:
        """A front end that cannot show the widget does not say so: when none has, the server takes over."""
        left = WAIT_TICKS

        def look() -> None:
            nonlocal left
            left -= 1
            if self._shown or self._how != "widget" or self._widget is None:
                stop()
            elif left == 0:
                stop()
                self._fall_back(
                    "the notebook's front end did not show a widget: install anywidget where Jupyter runs, "
                    "or choose how='server'"
                )

        stop = self.home.every(TICK_MS, look)

    def _fall_back(self, why: str) -> None:
        from IPython.display import update_display

        self._how = "server"
        self._why = why
        if self._widget is not None:
            self._widget.close()
            self._widget = None
        served = frame(self, serve_view(self), self._height)
        said = html.escape(f"devexplore: shown by a local server, as {why}.")
        words = f'<p style="font-size: 12px; opacity: 0.75">{said}</p>'
        still = still_card(self.run, self.id, self._picture)
        update_display({"text/plain": ""}, raw=True, display_id=self._live)
        update_display(self._bundle(still + words + served), raw=True, display_id=self.id)
