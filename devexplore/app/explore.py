"""``dx.explore``: the page from Python, inside a notebook or in the browser."""

import os
import sys
from typing import Any

from devexplore.app.page import ADDRESS, free_port, serve
from devexplore.app.recent import remember
from devexplore.run import Run, bundled_runs, open_run


def explore(*runs: Run | str | os.PathLike[str], height: int = 900) -> Any:
    """Open the explorer on the given runs (opened runs, folders or bundled names; none: all bundled runs).

    In a notebook the page appears below the cell, served by a thread of the kernel on this machine only.
    Elsewhere this opens the browser and blocks until interrupted.
    """
    opened = [run if isinstance(run, Run) else open_run(run) for run in (runs or bundled_runs().values())]
    for run in reversed(opened if runs else []):
        remember(run)
    if not _in_notebook():
        return serve(opened)
    from IPython.display import IFrame

    port = free_port(0)
    serve(opened, port=port, open_browser=False, threaded=True)
    return IFrame(f"http://{ADDRESS}:{port}/", width="100%", height=height)


def _in_notebook() -> bool:
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    shell = get_ipython()
    return shell is not None and shell.has_trait("kernel")
