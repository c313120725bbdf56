"""The whole state of the page, as one object that reads and writes JSON and URLs.

Every event on the page changes the Selection and nothing else; everything drawn follows from it and the runs.
So a URL, a notebook cell and a test all bring back the same picture.
"""

import json
from collections.abc import Container, Mapping
from copy import copy
from typing import Any
from urllib.parse import parse_qsl, urlencode

import numpy as np
import param

VERSION = 1

MOST_COMPONENTS = 8
"""Components that can be drawn: what the page computes when more than the usual ones are asked for."""

LARGEST_BANDWIDTH = 100
"""In ln(1 + step), where the longest training is some 30 wide: beyond, the curve is one polynomial."""

LARGEST_SAMPLES = 12
"""As log10: a million million samples are more than anything was trained on."""

_LARGEST = 2**53 - 1
"""The page's numbers are JavaScript's, which are exact up to here."""

_TEXTS = ("prompt", "text")
_LONGEST_TEXT = 400
_OF_THE_PAGE = frozenset(
    (
        "run",
        "colour",
        "circles",
        "evolute",
        "vertices",
        "forms",
        "raw",
        "null",
        "speed",
        "theme",
        "tab",
        "maximised",
        "columns",
        "rows",
    )
)
"""Stays when another run is chosen."""


class Selection(param.Parameterized):
    """What is looked at: run, step, layers, tokens. Units are training steps."""

    run = param.String("", doc="Name of the run; empty: the first one.")
    step = param.Integer(-1, doc="The current training step; −1: the last checkpoint.")
    strips = param.List([], item_type=str, doc="Metrics shown as further rows of the timeline.")
    colour = param.Selector(default="stage", objects=["stage", "step"], doc="What colours the trajectory.")
    circles = param.Boolean(True, doc="Osculating circles.")
    evolute = param.Boolean(True, doc="Centres of the osculating circles.")
    vertices = param.Boolean(False, doc="Vertices of the curve and cusps of the evolute.")
    forms = param.Boolean(True, doc="Forms, and turns that no random walk makes.")
    raw = param.Boolean(False, doc="Raw scores behind the smooth curve.")
    change = param.Selector(
        default="stage",
        objects=["stage", "start", "custom"],
        doc="Steps between which a loss change is taken: of the stage under the cursor, start → now, or two.",
    )
    change_from = param.Integer(0, bounds=(0, None), doc="First of the two steps when `change` is custom.")
    change_to = param.Integer(-1, bounds=(-1, None), doc="Second of the two steps; −1: the last checkpoint.")
    sequence = param.Integer(0, bounds=(0, None), doc="Which sequence of the probe is read.")
    token = param.Integer(-1, bounds=(-1, None), doc="The locked token or grid cell; −1: none.")
    speed = param.Selector(default=8, objects=[2, 4, 8, 16, 32], doc="Checkpoints a second while playing.")
    tab = param.String("", doc="Which of the panes that share a place is open; empty: the first.")
    maximised = param.String("", doc="The pane that has the whole page; empty: none.")
    columns = param.Number(43.0, bounds=(20, 80), doc="Width of the left side, in percent.")
    rows = param.Number(50.0, bounds=(20, 80), doc="Height of the timeline, in percent.")
    form = param.Integer(-1, bounds=(-1, None), doc="Number of the form that is read; −1: none.")
    prompt = param.String("", doc="Text of the user's own that forms are lifted to.")
    text = param.String("", doc="Text of the user's own whose losses are read; empty: the probe.")
    token_view = param.Selector(
        default="text",
        objects=["text", "ranking", "ideals"],
        doc="Tokens in context, ranked by their change, or the loss beside that of ideal predictors.",
    )
    ranked_by = param.Selector(
        default="place", objects=["place", "token", "class", "position"], doc="What is ranked."
    )
    pinned = param.Integer(
        -1, bounds=(-1, None), doc="The step that the current one is compared with; −1: none."
    )
    other = param.String("", doc="Name of the run that this one is compared with.")
    components = param.List([1, 2, 3], item_type=int, bounds=(3, 3), doc="Components drawn, from 1.")
    bandwidth = param.Number(
        0.0, bounds=(0, LARGEST_BANDWIDTH), doc="Smoothing of the trajectory; 0: chosen by the data."
    )
    null = param.Boolean(False, doc="The band in which random walks like this run lie.")
    part = param.String("", doc="The part (head) whose curve stands out among the metrics.")
    chain = param.Integer(-1, bounds=(-1, None), doc="The chain that stands out; −1: none.")
    samples = param.Number(
        0.0,
        bounds=(0, LARGEST_SAMPLES),
        doc="log10 of the number of samples of the landscape; 0: itself.",
    )
    theme = param.Selector(default="", objects=["", "light", "dark"], doc="Empty: as the browser prefers.")

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.follows = False
        """Whether what changes it now comes from another Selection, which has seen to the rest."""
        self.param.watch(self._run_changed, self._names())

    def _run_changed(self, *events: param.parameterized.Event) -> None:
        """What belongs to the run before is forgotten, but for what was changed together with the run."""
        changed = {event.name: event for event in events}
        if "run" in changed and changed["run"].old and not self.follows:
            self.forget_run(keep=changed)

    def state(self) -> dict[str, Any]:
        """All values by name, ready for JSON."""
        return {name: _plain(getattr(self, name)) for name in self._names()}

    def to_json(self) -> str:
        """The Selection as JSON, with its version."""
        return json.dumps({"version": VERSION, **self.state()}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "Selection":
        """The Selection that ``to_json`` wrote; what it does not know or cannot be is left at its default.

        Raises ``ValueError`` for what is no view, or one of another version.
        """
        view = json.loads(text)
        if not isinstance(view, dict) or "version" not in view:
            raise ValueError("it holds no object with a version")
        if view["version"] != VERSION:
            raise ValueError(
                f"a view of version {view['version']!r}; this devexplore reads {VERSION}: upgrade it"
            )
        selection = cls()
        selection.apply(view)
        return selection

    def query(self) -> str:
        """The Selection as a short URL query: only what differs from the defaults; '' when nothing does."""
        pairs = []
        for name, value in self.state().items():
            if value == self.param[name].default:
                continue
            if isinstance(value, bool):
                value = "on" if value else "off"
            elif isinstance(value, list):
                value = ",".join(map(str, value))
            elif name in _TEXTS and len(value) > _LONGEST_TEXT:
                continue  # too long for an address: it travels in the JSON
            pairs.append((name, value))
        return f"?{urlencode(pairs)}" if pairs else ""

    @classmethod
    def from_query(cls, query: str) -> "Selection":
        """The Selection that ``query`` wrote; what a URL edited by hand cannot mean is ignored."""
        selection = cls()
        patch: dict[str, Any] = {}
        for name, text in parse_qsl(query.removeprefix("?")):
            if name not in cls._names():
                continue
            kind = cls.param[name]
            if isinstance(kind, param.Boolean):
                patch[name] = text == "on"
            elif isinstance(kind, param.List):
                parts = [part for part in text.split(",") if part]
                patch[name] = [_number(int, part) for part in parts] if kind.item_type is int else parts
            elif isinstance(kind, param.Integer) or name == "speed":
                patch[name] = _number(int, text)
            elif isinstance(kind, param.Number):
                patch[name] = _number(float, text)
            else:
                patch[name] = text
        selection.apply(patch)
        return selection

    def apply(self, patch: Mapping[str, Any]) -> None:
        """Take over the values that are valid, in one change; leave the others as they are."""
        valid = {}
        for name, value in patch.items():
            if name not in self._names() or not _possible(name, value):
                continue
            try:
                type(self)(**{name: value})
            except (ValueError, TypeError):
                continue
            valid[name] = list(dict.fromkeys(value)) if name == "strips" else value  # none is drawn twice
        self.param.update(**valid)

    def forget_run(self, keep: Container[str] = ()) -> None:
        """Back to the defaults in all that belongs to one run: its steps, tokens, forms and metrics."""
        gone = [name for name in self._names() if name not in _OF_THE_PAGE and name not in keep]
        self.param.update(**{name: copy(self.param[name].default) for name in gone})

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in cls.param if name != "name"]


def _plain(value: Any) -> Any:
    """As Python has it: JSON knows no numbers of numpy's."""
    return value.item() if isinstance(value, np.generic) else value


def _number(kind: type, text: str) -> float | None:
    try:
        number = kind(text)
    except ValueError:
        return None
    return number if _known(number) else None


def _known(number: float) -> bool:
    return abs(number) <= _LARGEST  # not so of what is not finite


def _possible(name: str, value: Any) -> bool:
    """What the kinds and bounds of the values do not say."""
    if name == "components" and isinstance(value, list):
        numbers = [one for one in value if type(one) is int and 1 <= one <= MOST_COMPONENTS]
        return len(set(numbers)) == len(value)
    return not isinstance(value, int | float) or _known(value)
