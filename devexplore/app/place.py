"""Where a session lives: a page that Panel serves, a notebook's kernel, or nowhere but in memory.

A session changes in one thread only. Its place says how to get there from another (``soon``), how to look at
something again and again (``every``), what is to be done when the page is there (``once_shown``).
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import panel as pn

Act = Callable[[], None]


class Place(Protocol):
    """Where a session lives."""

    def soon(self, act: Act) -> None:
        """Do it in the session's thread."""
        ...

    def every(self, period_ms: int, act: Act) -> Act:
        """Do it again and again, in the session's thread; call what is given back to end it."""
        ...

    def once_shown(self, act: Act) -> None:
        """Do it when the page is there; what changes before that may be lost."""
        ...

    def at_end(self, act: Act) -> None:
        """Do it when the browser is gone."""
        ...


class InMemory:
    """Nobody watches: what is asked is done at once, and who wants to know looks."""

    def soon(self, act: Act) -> None:
        act()

    def every(self, period_ms: int, act: Act) -> Act:
        return lambda: None

    def once_shown(self, act: Act) -> None:
        act()

    def at_end(self, act: Act) -> None:
        pass


class ServedPage:
    """The page of a browser that Panel serves; to be made in its session."""

    def __init__(self) -> None:
        self._document = pn.state.curdoc

    def soon(self, act: Act) -> None:
        if self._document is not None and self._document.session_context is not None:
            self._document.add_next_tick_callback(act)

    def every(self, period_ms: int, act: Act) -> Act:
        return pn.state.add_periodic_callback(act, period=period_ms).stop

    def once_shown(self, act: Act) -> None:
        pn.state.onload(act)

    def at_end(self, act: Act) -> None:
        pn.state.on_session_destroyed(lambda _: act())


class Kernel:
    """The event loop of a notebook's kernel, which runs between two cells; to be made in it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def soon(self, act: Act) -> None:
        if self._loop.is_closed():
            act()  # its thread has ended: nothing else changes there
        else:
            self._loop.call_soon_threadsafe(act)

    def every(self, period_ms: int, act: Act) -> Act:
        handle: asyncio.TimerHandle | None = None
        ended = False

        def turn() -> None:
            nonlocal handle
            if not ended:
                act()
                handle = self._loop.call_later(period_ms / 1000, turn)

        def end() -> None:
            nonlocal ended
            ended = True
            if handle is not None:
                handle.cancel()

        handle = self._loop.call_later(period_ms / 1000, turn)
        return end

    def once_shown(self, act: Act) -> None:
        act()

    def at_end(self, act: Act) -> None:
        pass  # who holds the session closes it
