"""One thread for tiny networks."""

import pytest


@pytest.fixture(autouse=True)
def _single(one_thread: None) -> None:
    pass
