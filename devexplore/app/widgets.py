"""``dx.widgets``: the explorer's parts as ipywidgets, for layouts of one's own.

>>> player = dx.widgets.StepPlayer(run)
>>> curve = dx.widgets.TrajectoryWidget(run, selection=player.selection)
>>> ipywidgets.VBox([player, curve])

Widgets that are given the same Selection move together. So do those whose traits are linked
(``traitlets.link((a, "step"), (b, "step"))``); a trait is observed (``curve.observe(f, "step")``).
"""

import os
from typing import Any, ClassVar

import param
import traitlets

from devexplore.app.explore import home, require_pixels, served_runs
from devexplore.app.hosted import Hosted
from devexplore.app.select import Select, as_selection, require_among
from devexplore.app.selection import Selection
from devexplore.errors import InvalidSpec
from devexplore.run import Run
from devexplore.tree_run import stored_run

__all__ = ["StageWidget", "StepPlayer", "TokenWidget", "TrajectoryWidget"]

LEAST_HEIGHT = 40


class SelectionWidget(Hosted):
    """One part of the explorer. Its traits are values of its Selection, and follow each other."""

    shows: ClassVar[str]
    usual_height: ClassVar[int]
    _watcher: param.parameterized.Watcher | None = None

    step = traitlets.Int(-1, help="The training step; −1: the last checkpoint.").tag(sync=True)
    pinned = traitlets.Int(-1, help="The step that it is compared with; −1: none.").tag(sync=True)

    def __init__(
        self,
        run: Run | str | os.PathLike[str],
        selection: Select = None,
        *,
        height: int | None = None,
        **values: Any,
    ) -> None:
        """
        Args:
            run: an opened run, its folder or bundled name.
            selection: what it follows, as ``select`` of ``dx.explore``; several may be given one Selection.
            height: in pixels.
            values: traits to begin with: ``step=3400``.

        Raises ``InvalidSpec`` for a height, selection or value that cannot be, and what opening the run
        raises.
        """
        tall = self.usual_height if height is None else height
        require_pixels(tall, LEAST_HEIGHT)
        chosen = as_selection(selection)
        unknown = [name for name in values if name not in self._followed()]
        if unknown:
            raise InvalidSpec(
                f"{type(self).__name__} has no {unknown[0]!r}; it has {', '.join(self._followed())}"
            )
        begun = as_selection(values)  # says what cannot be
        chosen.apply({name: getattr(begun, name) for name in values})
        opened = stored_run(run)
        served = served_runs([opened])
        require_among(chosen, served)
        super().__init__(served, chosen, home(), tall, only=self.shows)
        self._watcher = chosen.param.watch(self._take_over, list(self._followed()))
        self._take_over()
        self.observe(self._give_over, list(self._followed()))

    @property
    def selection(self) -> Selection:
        """What it shows, and what the user chose in it; give it to other widgets."""
        return self._selection

    def close(self) -> None:
        """End it."""
        if self._watcher is not None:
            self._selection.param.unwatch(self._watcher)
        super().close()

    @classmethod
    def _followed(cls) -> list[str]:
        """Traits that are values of the Selection."""
        return [name for name in cls.class_trait_names() if name in Selection.param and name != "name"]

    def _take_over(self, *_: param.parameterized.Event) -> None:
        for name in self._followed():
            setattr(self, name, getattr(self._selection, name))

    def _give_over(self, change: dict[str, Any]) -> None:
        self._selection.apply({change["name"]: change["new"]})
        if getattr(self._selection, change["name"]) != change["new"]:  # it cannot be
            setattr(self, change["name"], getattr(self._selection, change["name"]))


class StepPlayer(SelectionWidget):
    """Play, slider, readout and the stages: scrubs through training."""

    shows = "player"
    usual_height = 48


class TrajectoryWidget(SelectionWidget):
    """The trajectory in space and in three planes, with circles, evolute, cusps and forms."""

    shows = "trajectory"
    usual_height = 560

    form = traitlets.Int(-1, help="Number of the form that was clicked; −1: none.").tag(sync=True)
    circles = traitlets.Bool(True, help="Osculating circles.").tag(sync=True)
    evolute = traitlets.Bool(True, help="Centres of the osculating circles.").tag(sync=True)
    vertices = traitlets.Bool(False, help="Vertices of the curve and cusps of the evolute.").tag(sync=True)
    forms = traitlets.Bool(True, help="Forms, and turns that no random walk makes.").tag(sync=True)


class TokenWidget(SelectionWidget):
    """Loss change per token over a stage, on the text (or a grid), with the history of a token."""

    shows = "tokens"
    usual_height = 420

    sequence = traitlets.Int(0, help="Which sequence of the probe is read.").tag(sync=True)
    token = traitlets.Int(-1, help="The locked token; −1: none.").tag(sync=True)
    change = traitlets.Unicode("stage", help="Over what: stage, start or custom.").tag(sync=True)
    change_from = traitlets.Int(0, help="First of two steps, where change is custom.").tag(sync=True)
    change_to = traitlets.Int(-1, help="Second of two steps; −1: the last checkpoint.").tag(sync=True)


class StageWidget(SelectionWidget):
    """Loss and LLC over log-steps with the stages, whose boundaries can be dragged."""

    shows = "timeline"
    usual_height = 420

    strips = traitlets.List(traitlets.Unicode(), help="Metrics shown as further rows.").tag(sync=True)
