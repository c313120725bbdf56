"""One browser session: a Selection, the runs, and the panes that follow them."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any
from uuid import uuid4

from devexplore.app.components import Frame, Shell, Single, Viewer
from devexplore.app.derived import READ_ERRORS, DerivedRun
from devexplore.app.frame import frame
from devexplore.app.job import Job
from devexplore.app.opening import OPENING
from devexplore.app.pane import Look, Waiting, as_csv, message
from devexplore.app.panes import ALWAYS, PANES
from devexplore.app.panes.tokens import limit_between
from devexplore.app.payload import encode
from devexplore.app.place import Act, InMemory, Place
from devexplore.app.runs import ServedRuns
from devexplore.app.selection import Selection

POLL_MS = 200
_FRAME = "frame"


class Session:
    """Fills the panes of one page and keeps them in step with the Selection.

    A pane is filled when it is first seen; of the Selection only what its drawing needs from Python is
    watched (``Pane.follows``), and all else happens in the browser. What is still being computed is looked at
    every ``POLL_MS``: a pane that waits for it, or was drawn without it, is filled when it is there.
    """

    def __init__(
        self,
        served: ServedRuns,
        selection: Selection,
        place: Place | None = None,
        *,
        only: str | None = None,
        inside: bool = False,
    ) -> None:
        """``place``: where it lives (None: in memory). ``only``: one pane, or the player, without the page
        around it. ``inside``: the page is a part of another one, whose title and address are not its own."""
        self._place: Place = InMemory() if place is None else place
        self._panes = PANES if only is None else {name: pane for name, pane in PANES.items() if name == only}
        self._always = ALWAYS if only is None else tuple(self._panes)
        self._served = served
        self.runs = runs = dict(served)  # changes in the session's own thread only, between two drawings
        self.selection = selection
        self._notice = ""
        if selection.run not in runs:
            first = next(iter(runs))
            if selection.run:
                self._notice = f"No run “{selection.run}” is served here; this is “{first}”."
                selection.forget_run()
            selection.run = first
        if selection.tab not in PANES:
            selection.tab = next(name for name in PANES if name not in ALWAYS)
        self._look = Look(runs, selection)
        self._end_poll: Act | None = None
        self._ends: list[Act] = []
        self._connected = False
        self._ahead: set[str] = set()
        self._awaited: dict[str, set[Job]] = {}
        self._blocked: dict[str, Waiting] = {}
        self._stale = set(self._panes)
        self._kept: set[str] = set()
        bus = uuid4().hex
        self.viewers: dict[str, Viewer] = {
            name: pane.viewer(bus=bus, pane=name, title=pane.title, tabbed=name not in self._always)
            for name, pane in self._panes.items()
        }
        for name, viewer in self.viewers.items():
            viewer.asked = partial(self._asked, name)
        self.tabs = [[name, pane.title] for name, pane in self._panes.items() if name not in self._always]
        self.shell: Frame = (
            Shell(selection, self.viewers, bus=bus, tabs=self.tabs, inside=inside, sizing_mode="stretch_both")
            if only is None
            else Single(selection, bus=bus, shows=only, inside=inside)
        )
        self.shell.asked = self._asked_to_open
        self.show_run()
        self._watch(self._change_run, "run")
        self._watch(lambda *_: self.refill(), "theme")
        self._watch(lambda *_: self._fill_seen(), ["tab", "maximised"])
        self._watch(lambda *_: self._set_limit(), ["change", "change_from", "change_to"])
        self._place.once_shown(self._connect)
        for name, pane in self._panes.items():
            if pane.follows:
                self._watch(lambda *_, name=name: self.refill(name), list(pane.follows))

    @property
    def derived(self) -> DerivedRun:
        """The chosen run."""
        return self._look.derived

    @property
    def look(self) -> Look:
        """What the panes look at."""
        return self._look

    @property
    def awaited(self) -> set[Job]:
        """What is being computed for what is drawn; empty once nothing more will come by itself."""
        return {job for jobs in self._awaited.values() for job in jobs}

    @property
    def settled(self) -> bool:
        """Whether all is drawn that will be, until something changes."""
        return self._end_poll is None

    def close(self) -> None:
        """Nobody looks any more: let go of the Selection, which may live on, and of the runs' files."""
        if self._end_poll is not None:
            self._end_poll()
        self.shell.let_go()
        while self._ends:
            self._ends.pop()()

    def _watch(self, act: Callable[..., None], names: str | list[str]) -> None:
        watcher = self.selection.param.watch(act, names)
        self._ends.append(lambda: self.selection.param.unwatch(watcher))

    def show_run(self) -> None:
        """Start what takes long for the chosen run, and fill all that is seen of it."""
        self._ahead.clear()
        self.derived.start()
        self.refill()

    def refill(self, *names: str) -> None:
        """These panes (by default all, and the frame) are to be drawn anew: the seen ones now."""
        self._stale |= set(names or self._panes)
        self._kept -= set(names or self._panes)
        if not names:
            self._fill(_FRAME)
            self._say_news()
            for name in self._stale - set(self._seen()):
                self.viewers[name].payload = ""  # nothing of another run or theme when it is opened
        self._fill_seen()

    def keep_up(self) -> None:
        """Follow the files of the runs from now on, until the browser is gone."""
        self._ends.append(self._served.listen(lambda name: self._place.soon(partial(self.renew, name))))
        self._place.at_end(self.close)
        self.renew(self.selection.run)  # what was told before anybody listened

    def renew(self, name: str) -> None:
        """There is something new of a run: the Selection stays, and so does what is drawn until the new is
        there. A cursor at the last checkpoint goes on to the new last one."""
        before, known = self.runs.get(name), len(self.runs)
        self.runs.update(self._served)
        self._say_news()
        if name == self.selection.run and self.runs[name] is not before:
            if before is not None and self.selection.step == _last_step(before):
                self.selection.step = -1
            self._stale, self._kept = set(self._panes), set(self._panes)
            self._fill(_FRAME)
            self._fill_seen()
            return
        if len(self.runs) != known:
            self._fill(_FRAME)
        if name == self.selection.other and self.runs[name] is not before:
            several = [pane for pane in self._panes if not self._panes[pane].of_one_run]
            if several:
                self.refill(*several)

    def _say_news(self) -> None:
        """What there is to say of the run in the page's head."""
        news = self._served.news(self.selection.run)
        self.shell.news = encode({"notice": self._notice, **news._asdict()})

    def _seen(self) -> Iterable[str]:
        seen = (*self._always, self.selection.tab, self.selection.maximised)
        return [name for name in self._panes if name in seen]

    def _fill_seen(self) -> None:
        for name in self._seen():
            if name in self._stale:
                self._fill(name)
        self._set_limit()
        self._keep_looking()

    def _fill(self, name: str) -> None:
        """A run may break while it is open (a damaged block): the pane says so, the page lives."""
        self._stale.discard(name)
        self._look.awaited = set()
        self._blocked.pop(name, None)
        viewer: Viewer | Frame = self.shell if name == _FRAME else self.viewers[name]
        try:
            viewer.payload = encode(frame(self._look)) if name == _FRAME else self._drawn(name)
            self._kept.discard(name)
        except Waiting as waiting:
            self._blocked[name] = waiting
        except READ_ERRORS as error:
            viewer.payload = encode(message("This part of the run cannot be read", str(error)))
            self._served.unreadable(self.selection.run)
        if isinstance(viewer, Viewer):
            viewer.progress = self._progress(name)
        self._awaited[name] = self._look.awaited

    def _drawn(self, name: str) -> str:
        """The payload of a pane; as another session drew it, where one looked at the same."""
        pane = PANES[name]
        what = encode([name, self.selection.theme or "light", pane.drawn_for(self._look)])
        held = self.derived.drawn(what) if pane.of_one_run else None
        if held is None:
            held = encode(self._pane(name))
            if pane.of_one_run and not self._look.awaited:
                self.derived.keep_drawing(what, held)
        return held

    def _pane(self, name: str) -> dict[str, Any]:
        pane = PANES[name]
        payload = pane.payload(self._look)
        if "message" in payload:
            return payload
        path = str(self.derived.run.path)
        code = pane.code(self._look)
        return payload | {
            "code": f"import devexplore as dx\n\nrun = dx.open({path!r})\n{code}" if code else ""
        }

    def _progress(self, name: str) -> str:
        """How far that is what a pane cannot be drawn without; empty where there is nothing, and where what
        was drawn before still stands."""
        waiting = self._blocked.get(name)
        if waiting is None or (name in self._kept and self.viewers[name].payload):
            return ""
        job = waiting.job
        said = {"done": job.done, "total": job.total, "text": job.text, "seconds": job.seconds_left}
        return encode({**said, "title": waiting.title})

    def _connect(self) -> None:
        """The page has arrived. What changes before that Panel may lose, so nothing does."""
        self._connected = True
        self._keep_looking()

    def _keep_looking(self) -> None:
        if self._connected and self._end_poll is None and (any(self._awaited.values()) or self._not_drawn()):
            self._end_poll = self._place.every(POLL_MS, self.look_at_jobs)

    def look_at_jobs(self) -> None:
        """Fill what has got what it waited for; say of the rest how far it is."""
        for name, jobs in list(self._awaited.items()):
            if any(job.future.done() for job in jobs):
                self._awaited[name] = set()
                self._stale.add(name)
                if name == _FRAME or name in self._seen():
                    self._fill(name)
            elif name in self._blocked:
                self.viewers[name].progress = self._progress(name)
        if not any(self._awaited.values()) and self._end_poll is not None and not self._draw_ahead():
            self._end_poll()
            self._end_poll = None

    def _draw_ahead(self) -> bool:
        """Draw one of the panes that are not seen, for when it is opened; whether there was one to draw."""
        unseen = self._not_drawn()
        if not unseen:
            return False
        self._ahead.add(unseen[0])
        self._look.awaited = set()
        try:
            self._drawn(unseen[0])
        except (Waiting, *READ_ERRORS):
            pass  # it is drawn, or says why not, when it is opened
        return True

    def _not_drawn(self) -> list[str]:
        """Panes that were neither seen nor drawn ahead."""
        waiting = self._stale - self._ahead - set(self._seen())
        return [name for name, pane in self._panes.items() if name in waiting and pane.of_one_run]

    def _asked(self, name: str, number: int, question: str, values: Mapping[str, Any]) -> None:
        """A pane asks what takes work: it is done in the background, and the answer sent when it is there."""
        viewer, derived, run = self.viewers[name], self.derived, self.selection.run
        pane = PANES[name]
        if question == "table":
            look = Look(dict(self.runs), Selection.from_json(self.selection.to_json()))
            asked = derived.do(partial(as_csv, pane, look)).future
        elif question in pane.acts:
            asked = self._served.act(run, pane.acts[question], values)
        else:
            asked = derived.answer(name, question, values, pane.answers[question]).future

        def say() -> None:
            error = asked.exception()
            if error is None:
                self.renew(run)
                viewer.answer(number, asked.result())
            else:
                viewer.answer(number, None, str(error))

        asked.add_done_callback(lambda _: self._place.soon(say))

    def _asked_to_open(self, number: int, question: str, values: Mapping[str, Any]) -> None:
        """The dialog for opening runs asks. A run that was opened is there before its name is told."""

        def say(asked: Future[Any]) -> None:
            error = asked.exception()
            for name in self._served.keys() - self.runs.keys():
                self.renew(name)
            if error is None:
                self.shell.answer(number, asked.result())
            else:
                self.shell.answer(number, None, str(error))

        asked = self._served.ask(OPENING[question], values)
        asked.add_done_callback(lambda done: self._place.soon(partial(say, done)))

    def _change_run(self, _: Any) -> None:
        if self.selection.run not in self.runs:
            self.selection.run = next(iter(self.runs))
            return
        self._notice = ""
        self.show_run()

    def _set_limit(self) -> None:
        if self.selection.change != "custom" or "tokens" not in self.viewers:
            return
        try:
            losses = self.derived.token_losses
        except READ_ERRORS:
            return  # the tokens pane says so
        if losses is None:
            return
        end = self.selection.change_to if self.selection.change_to >= 0 else losses["step"].values[-1]
        self.viewers["tokens"].param.update(limit=limit_between(losses, self.selection.change_from, end))


def _last_step(derived: DerivedRun) -> int:
    """Of the run's checkpoints; −1, which always is the last one, where they cannot be read."""
    try:
        return int(derived.steps[-1])
    except (*READ_ERRORS, IndexError):
        return -1
