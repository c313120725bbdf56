"""A JupyterLab whose front end lacks what ours have."""

from collections.abc import Iterator

import pytest

from ..jupyterlab import Lab


@pytest.fixture(scope="session")
def lab_without_widgets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Where the kernel has anywidget, and the front end has not."""
    started = Lab(tmp_path_factory.mktemp("bare"), {"disabledExtensions": {"anywidget": True}})
    yield started
    started.stop()
