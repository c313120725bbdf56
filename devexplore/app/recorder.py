"""What a report holds: the drawings of every pane in the views that it keeps, and the answers.

A session draws them as it does for a browser, so that a report shows what the page shows. Their parts, most
of them shared by several drawings, are kept once; ``static_host.js`` puts them together again.
"""

import base64
import json
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import param

from devexplore.app.components import Shell, sheet
from devexplore.app.derived import READ_ERRORS
from devexplore.app.job import Progress
from devexplore.app.page import derive
from devexplore.app.pane import Pane
from devexplore.app.panes import ALWAYS, PANES
from devexplore.app.payload import encode
from devexplore.app.selection import VERSION, Selection
from devexplore.app.session import Session
from devexplore.paths import as_argument
from devexplore.run import Run
from devexplore.views.markup import plain
from devexplore.views.style import ThemeName

DEPTH = 2
"""How deep the dictionaries of a drawing are taken apart."""

LOOK_EVERY_S = 0.2

SPELLINGS: Final[tuple[Callable[[str | Path], str], ...]] = (
    as_argument,
    lambda path: str(path).replace("'", "'\"'\"'"),  # a shell's, of a file in it
    str,
    lambda path: repr(str(path))[1:-1],
    lambda path: plain(str(path)),
)
"""How texts spell a folder: after a command, as it is, in Python's quotes, in Plotly's markup."""


class Values:
    """JSON values, each once, by number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, value: Any) -> int:
        return self._numbers.setdefault(encode(value), len(self._numbers))

    def fields(self, value: Any, depth: int = DEPTH) -> Any:
        """A dictionary with numbers in the place of its values; of another value its number."""
        if depth == 0 or not isinstance(value, dict):
            return self.number(value)
        return {name: self.fields(one, depth - 1) for name, one in value.items()}

    def json(self) -> str:
        return f"[{','.join(self._numbers)}]"


def slim(value: Any) -> Any:
    """A JSON value with its typed arrays in single precision: seven digits draw the same. Whole numbers,
    which may be steps, only where they stay what they are."""
    if isinstance(value, list):
        return [slim(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("dtype") != "f8" or "bdata" not in value:
        return {name: slim(one) for name, one in value.items()}
    held = np.frombuffer(base64.b64decode(value["bdata"]))
    with np.errstate(over="ignore"):
        single = held.astype(np.float32)
    known = np.isfinite(held)
    whole = bool((held[known] == np.round(held[known])).all())
    if not np.isfinite(single[known]).all() or (whole and not (single[known] == held[known]).all()):
        return value
    return value | {"dtype": "f4", "bdata": base64.b64encode(single.tobytes()).decode()}


def untold(value: Any, here: Path) -> Any:
    """A JSON value whose texts call this folder by its own name only, however they spell it. Typed arrays
    stay as they are, whatever their letters spell."""
    if isinstance(value, str):
        for spelled in SPELLINGS:
            value = value.replace(spelled(here), spelled(here.name))
        return value
    if isinstance(value, list):
        return [untold(one, here) for one in value]
    if not isinstance(value, dict) or "bdata" in value:
        return value
    return {untold(name, here): untold(one, here) for name, one in value.items()}


class Recorder:
    """Walks a session of one run through all that a report of it holds."""

    def __init__(
        self, run: Run, start: Selection, themes: list[ThemeName], progress: Progress | None
    ) -> None:
        runs = derive([run])
        start.run = next(iter(runs))
        self._themes, self._progress = themes, progress
        self._session = Session(runs, start)
        self._start = start.state()  # with the tab that is there
        self._follows = {name: ["theme", *pane.follows] for name, pane in PANES.items()}
        self._drawings: dict[str, list[dict[str, Any]]] = {name: [] for name in PANES}
        self._frames: dict[str, Any] = {}
        self.values = Values()
        self._count = 0

    def record(self) -> dict[str, Any]:
        """What ``openReport`` of static_host.js takes, but for the values."""
        return self._untold(self._recorded())

    def _recorded(self) -> dict[str, Any]:
        for theme in self._themes:
            self._show({"theme": theme})
            for name, pane in PANES.items():
                self._show({} if name in ALWAYS else {"tab": name})
                self._keep(name, [{}])
                for alike in pane.kept(self._session.look):
                    self._show(alike[0])
                    self._keep(name, alike)
                self._show({key: self._start[key] for key in pane.follows})
            frame = json.loads(self._session.shell.payload)
            self._frames[theme] = self.values.fields(self._untold(frame))
        self._show({name: self._start[name] for name in ("theme", "tab")})
        limit = self._limit()
        viewers, command = self._session.viewers, f"devexplore explore {as_argument(self.run.path)}"
        return {
            "version": VERSION,
            "bus": "report",
            "refusal": f"Not in this saved page; it is in the served one: {command}",
            "about": f"A saved page: it scrubs and holds what it shows. Texts and prompts of your own, other "
            f"components and boundaries, and further rankings need the served one: {command}",
            "saved": date.today().isoformat(),
            "theme": self._themes[0],
            "state": self._start,
            "tabs": self._session.tabs,
            "choices": {
                name: Selection.param[name].objects
                for name in self._start
                if isinstance(Selection.param[name], param.Selector)
            },
            "frames": self._frames,
            "panes": {
                name: {
                    "title": pane.title,
                    "always": name in ALWAYS,
                    "follows": self._follows[name],
                    "drawings": self._drawings[name],
                    "answers": self._answers(name),
                    "limit": limit if name == "tokens" else None,
                }
                for name, pane in PANES.items()
            },
            "sheets": {
                name: [self.values.number(text) for text in texts]
                for name, texts in (
                    *((name, viewer._stylesheets) for name, viewer in viewers.items()),
                    ("shell", [*Shell._stylesheets, *sheet("saved")]),
                )
            },
        }

    @property
    def run(self) -> Run:
        return self._session.derived.run

    def _show(self, patch: dict[str, Any]) -> None:
        """Change the Selection, and wait until nothing more will come by itself to what is seen of it."""
        session = self._session
        session.selection.param.update(**patch)
        while jobs := session.awaited:
            done = wait([job.future for job in jobs], LOOK_EVERY_S, FIRST_COMPLETED).done
            running = [job for job in jobs if job.future not in done]
            if running:
                self._say(running[0].done, running[0].total, running[0].text)
            session.look_at_jobs()

    def _keep(self, name: str, alike: list[dict[str, Any]]) -> None:
        """Keep a pane as it is now drawn, for these views which are all drawn like that."""
        state = self._session.selection.state()
        payload = self._untold(slim(json.loads(self._session.viewers[name].payload)))
        seen = [[(state | view)[key] for key in self._follows[name]] for view in alike]
        self._drawings[name].append({"shown": seen, "fields": self.values.fields(payload)})
        self._count += 1
        self._say(self._count, 0, f"drawing {PANES[name].title.lower()}")

    def _untold(self, value: Any) -> Any:
        return untold(value, self.run.path) if self.run.path.is_absolute() else value

    def _limit(self) -> float:
        """The colour limit between two steps of the user's choice: one for all, over the whole training."""
        if self._start["change"] != "custom":
            self._show({"change": "custom", "change_from": 0, "change_to": -1})
        limit = self._session.viewers["tokens"].param.values()["limit"]
        self._show({name: self._start[name] for name in ("change", "change_from", "change_to")})
        return limit

    def _answers(self, name: str) -> list[list[Any]]:
        """Questions of a pane with their values, and the numbers of the answers."""
        pane, look, kept = PANES[name], self._session.look, []
        themes = (None, *self._themes)
        questions = [one for one in pane.kept_answers(look) if one[1].get("theme") in themes]
        for done, (question, about) in enumerate(questions):
            self._say(done, len(questions), f"answers of {pane.title.lower()}")
            try:
                work = pane.answers[question] if question != "table" else None
                answer = self._table(pane) if work is None else work(look.derived, about)
            except READ_ERRORS:
                continue  # the page would say why; the file says that it does not hold it
            if answer is not None:
                answer = self._untold(slim(json.loads(encode(answer))))
                kept.append([question, about, self.values.number(answer)])
        return kept

    def _table(self, pane: Pane) -> str | None:
        table = pane.table(self._session.look)
        return None if table is None else table.to_csv(index=False)

    def _say(self, done: int, total: int, text: str) -> None:
        if self._progress is not None:
            self._progress(done, total, text)
