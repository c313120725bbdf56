"""Two Selections in two threads stay alike, whoever changes what, and however fast."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devexplore.app.link import copied, link
from devexplore.app.selection import Selection


class Later:
    """A thread of its own: what is to be done there waits until it has its turn."""

    def __init__(self):
        self.waiting = deque()

    def soon(self, act):
        self.waiting.append(act)

    def turn(self):
        if self.waiting:
            self.waiting.popleft()()


@pytest.fixture
def pair():
    places = Later(), Later()
    one = Selection(step=1)
    other = copied(one)
    end = link(one, places[0], other, places[1])
    return one, other, places, end


def settle(places, most=50):
    for _ in range(most):
        if not any(place.waiting for place in places):
            return
        for place in places:
            place.turn()
    raise AssertionError("they chase each other")


def test_each_follows_the_other(pair):
    one, other, places, _ = pair
    one.step = 7
    settle(places)
    assert other.step == 7
    other.param.update(form=2, tab="forms")
    settle(places)
    assert (one.form, one.tab) == (2, "forms")


def test_what_arrives_is_not_sent_back(pair):
    one, _, places, _ = pair
    one.step = 7
    places[1].turn()
    assert not places[0].waiting


def test_what_is_corrected_on_the_other_side_comes_back(pair):
    one, other, places, _ = pair
    other.param.watch(lambda _: setattr(other, "run", "known"), "run")  # as a session does with unknown runs
    one.run = "unknown"
    settle(places)
    assert (one.run, other.run) == ("known", "known")


@pytest.mark.parametrize("side", [0, 1])
def test_another_run_forgets_the_steps_of_the_one_before_but_not_what_is_set_for_it(side):
    places = Later(), Later()
    one = Selection(run="a", step=7, form=2)
    other = copied(one)
    link(one, places[0], other, places[1])
    changed = (one, other)[side]
    changed.run = "b"
    changed.step = 1000
    settle(places)
    assert (one.run, one.step, one.form) == ("b", 1000, -1)
    assert other.state() == one.state()
    changed.param.update(run="a", step=5)
    settle(places)
    assert (one.run, one.step) == ("a", 5)
    assert other.state() == one.state()


def test_a_display_dresses_as_it_likes(pair):
    one, other, places, _ = pair
    other.theme = "dark"
    settle(places)
    assert one.theme == ""
    one.theme = "light"
    settle(places)
    assert other.theme == "light"


@given(
    st.lists(
        st.tuples(st.sampled_from(["one", "other", "turn one", "turn other"]), st.integers(0, 99)),
        max_size=40,
    )
)
def test_whatever_crosses_they_end_alike(changes):
    places = Later(), Later()
    one = Selection(step=1)
    other = copied(one)
    link(one, places[0], other, places[1])
    for who, value in changes:
        if who.startswith("turn"):
            places[who == "turn other"].turn()
        else:
            (one if who == "one" else other).param.update(step=value, token=99 - value)
    settle(places, 200)
    assert one.state() == other.state()


def test_it_ends(pair):
    one, other, places, end = pair
    end()
    one.step = 9
    other.form = 3
    settle(places)
    assert (other.step, one.form) == (1, -1)


def test_a_copy_is_of_the_same_values_and_its_own():
    one = Selection(step=3, strips=["a"])
    copy = copied(one)
    assert copy.state() == one.state()
    copy.step = 4
    assert one.step == 3
