"""Keeps two Selections alike that live in different threads: the user's own, and one display's."""

from collections.abc import Callable, Set
from typing import Any

import param

from devexplore.app.place import Act, Place
from devexplore.app.selection import Selection


def link(one: Selection, place: Place, other: Selection, other_place: Place) -> Act:
    """Each follows the other from now on, in its own thread; call what is given back to end it.

    What arrives is not sent back, and is taken as it is when it arrives: fast changes on both sides neither
    chase each other nor cross. Where it cannot be (a run that is not served) and is corrected, that is sent.
    A theme goes to the other only: a display dresses as the notebook around it.
    """
    arriving: dict[int, dict[str, Any]] = {}

    def follow(here: Selection, there: Selection, home: Place) -> Callable[[], None]:
        def arrive(names: Set[str]) -> None:
            values = arriving[id(there)] = {name: getattr(here, name) for name in names}
            there.follows = True
            try:
                there.apply(values)
            finally:
                there.follows = False
                arriving[id(there)] = {}

        def changed(*events: param.parameterized.Event) -> None:
            known = arriving.get(id(here), {})
            names = {event.name for event in events if known.get(event.name, known) != event.new}
            if here is other:
                names.discard("theme")
            if names:
                home.soon(lambda: arrive(names))

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
