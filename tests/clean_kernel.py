"""Notebooks executed as by a reader who has just installed the package: a fresh kernel, no settings of the
user's, an empty folder and cache, every warning an error, and no way out of this machine."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

CELL_SECONDS = 300

WARNINGS = (
    "error",
    # ipykernel's own, of its own kernel, when it is told to end.
    "ignore:For consistency across implementations, it is recommended that:PendingDeprecationWarning",
)
"""What the kernel is told of warnings, in the words of ``python -W``; the later counts."""

_GUARD = '''"""Python loads this when it starts. Nothing reaches another machine; who tries is noted."""

import os
import sys

_HERE = ("", "localhost", "127.0.0.1", "::1", "0.0.0.0", "::", None)


def _leaves(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        # An address is (host, port, …); that of a socket between processes is a path.
        return isinstance(address, tuple) and _host(address[0]) not in _HERE
    return event in ("socket.getaddrinfo", "socket.gethostbyname") and _host(arguments[0]) not in _HERE


def _host(name):
    return name.decode() if isinstance(name, bytes) else name


def _watch(event, arguments):
    if event.startswith("socket.") and _leaves(event, arguments):
        with open(os.environ["OUTSIDE_REQUESTS"], "a", encoding="utf-8") as file:
            file.write(f"{event} {arguments[1:] if event != 'socket.getaddrinfo' else arguments}\\n")
        raise PermissionError(f"no request may leave this machine: {event} {arguments}")


sys.addaudithook(_watch)
'''


class CleanKernel:
    """Executes notebooks with everything they write below ``place``."""

    def __init__(self, place: Path):
        self.place = place
        self.requests = place / "requests"
        guard = place / "guard"
        guard.mkdir(parents=True)
        (guard / "sitecustomize.py").write_text(_GUARD, encoding="utf-8")
        options = [option for words in WARNINGS for option in ("-W", words)]
        spec = {
            "argv": [sys.executable, *options, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "clean",
            "language": "python",
        }
        kernel = place / "jupyter" / "kernels" / "clean"
        kernel.mkdir(parents=True)
        (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
        self.environment = {
            "DEVEXPLORE_ANNOTATIONS": str(place / "annotations"),
            "DEVEXPLORE_CACHE": str(place / "cache"),
            "IPYTHONDIR": str(place / "ipython"),
            "JUPYTER_CONFIG_DIR": str(place / "settings"),
            "JUPYTER_DATA_DIR": str(place / "jupyter"),
            "JUPYTER_PATH": str(place / "jupyter"),
            "JUPYTER_RUNTIME_DIR": str(place / "runtime"),
            "OUTSIDE_REQUESTS": str(self.requests),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(guard), os.environ.get("PYTHONPATH", "")])),
        }

    def execute(self, notebook: NotebookNode) -> NotebookNode:
        """The notebook with its outputs and the state of its widgets; the one that is given stays as it is.

        Raises ``CellExecutionError`` with the cell and its traceback.
        """
        work = self.place / "work"
        work.mkdir()
        executed = nbformat.from_dict(notebook)
        NotebookClient(
            executed,
            kernel_name="clean",
            timeout=CELL_SECONDS,
            store_widget_state=True,
            resources={"metadata": {"path": str(work)}},
        ).execute()
        return executed

    @property
    def outside_requests(self) -> list[str]:
        """What wanted to leave this machine."""
        return self.requests.read_text(encoding="utf-8").splitlines() if self.requests.exists() else []


def outputs_of(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """All outputs of all cells, in order."""
    for cell in notebook.cells:
        yield from cell.get("outputs", [])
