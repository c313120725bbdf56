"""Keeps two Selections alike that live in different threads: the user's own, and one display's."""

from collections.abc import Callable
from typing import Any

import param

from devexplore.app.place import Act, Place
from devexplore.app.selection import Selection


def link(one: Selection, place: Place, other: Selection, other_place: Place) -> Act:
    """Each follows the other from now on, in its own thread; call what is given back to end it.

    A change is not sent back to where it comes from: fast changes on both sides would chase each other.
    """
    arriving: set[int] = set()

    def follow(here: Selection, there: Selection, home: Place) -> Callable[[], None]:
        def arrive(patch: dict[str, Any]) -> None:
            arriving.add(id(there))
            try:
                there.apply(patch)
            finally:
                arriving.discard(id(there))

        def changed(*events: param.parameterized.Event) -> None:
            if id(here) not in arriving:
                patch = {event.name: event.new for event in events}
                home.soon(lambda: arrive(patch))

        watcher = here.param.watch(changed, list(here.state()))
        return lambda: here.param.unwatch(watcher)

    ends = (follow(one, other, other_place), follow(other, one, place))

    def end() -> None:
        for stop in ends:
            stop()

    return end


def copied(selection: Selection) -> Selection:
    """Another Selection of the same values."""
    copy = Selection()
    copy.apply(selection.state())
    return copy
