"""Every notebook runs from a clean kernel, in silence, on this machine alone, and stays small when saved."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from .clean_kernel import CleanKernel, outputs_of

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))

LARGEST_OUTPUT = 500_000
"""Bytes that one output may take in a saved notebook."""

LARGEST_NOTEBOOK = 2_000_000
"""Bytes of a saved notebook, with all outputs and the state of all widgets."""

LOADS_FROM_OUTSIDE = re.compile(
    r"""\bsrc\s*=\s*["']?(https?:)?//|<link[^>]*href\s*=\s*["']?(https?:)?//|\bimport\b[^;'"]*["']https?://"""
    r"""|\burl\(\s*["']?(https?:)?//|@import|require(js)?\.config""",
    re.IGNORECASE,
)
"""What makes a browser fetch something when a saved notebook is opened; a link to be clicked is not."""


@pytest.fixture
def clean_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CleanKernel:
    kernel = CleanKernel(tmp_path / "kernel")
    for name, value in kernel.environment.items():
        monkeypatch.setenv(name, value)
    return kernel


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def texts_in(value: Any) -> Iterator[str]:
    """Every text within a notebook's JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts_in(one)


def size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_a_clean_kernel(path: Path, clean_kernel: CleanKernel):
    executed = clean_kernel.execute(read(path))  # a warning is an error there, and an error is raised here
    complaints = [one.text for one in outputs_of(executed) if one.get("name") == "stderr"]
    assert complaints == []
    assert clean_kernel.outside_requests == []
    large = {one.output_type: size(one) for one in outputs_of(executed) if size(one) > LARGEST_OUTPUT}
    assert large == {}
    assert size(executed) <= LARGEST_NOTEBOOK
    stored = [list(outputs_of(executed)), executed.metadata.get("widgets", {})]
    assert [found.group() for text in texts_in(stored) for found in LOADS_FROM_OUTSIDE.finditer(text)] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path: Path):
    for cell in read(path).cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_asks_for_no_kernel_of_its_author(path: Path):
    stored = read(path)
    nbformat.validate(stored)
    kernel = stored.metadata.kernelspec
    assert (kernel.name, kernel.language) == ("python3", "python")
    assert kernel.display_name in ("Python 3", "Python 3 (ipykernel)")  # as Jupyter calls its own
    assert stored.metadata.language_info == {"name": "python"}
    assert set(stored.metadata) == {"kernelspec", "language_info"}


def test_the_clean_kernel_has_no_way_out_and_takes_warnings_for_errors(clean_kernel: CleanKernel):
    cells = [
        "import socket, threading, urllib.request, warnings",
        "with socket.create_server(('127.0.0.1', 0)) as here:\n"
        "    socket.create_connection(here.getsockname(), timeout=5).close()",
        "for address in ('http://192.0.2.1/', 'http://example.org/'):\n"
        "    try:\n"
        "        urllib.request.urlopen(address, timeout=5)\n"
        "    except OSError as error:\n"
        "        print(type(error).__name__)",
        "try:\n    warnings.warn('beware')\nexcept UserWarning:\n    print('raised')",
        "import os; print(os.listdir(), os.environ['JUPYTER_CONFIG_DIR'])",
    ]
    executed = clean_kernel.execute(new_notebook(cells=[new_code_cell(cell) for cell in cells]))
    printed = "".join(one.text for one in outputs_of(executed))
    assert printed == f"URLError\nURLError\nraised\n[] {clean_kernel.place / 'settings'}\n"
    assert ["192.0.2.1" in one for one in clean_kernel.outside_requests] == [True, False]
    assert "example.org" in clean_kernel.outside_requests[1]


@pytest.mark.parametrize(
    ("text", "loads"),
    [
        ('<script src="https://cdn.plot.ly/plotly.js"></script>', True),
        ("<script src=//cdn.plot.ly/plotly.js></script>", True),
        ('<link rel="stylesheet" href="https://a.org/a.css">', True),
        ('<script type="module">import "https://cdn.plot.ly/plotly.js"</script>', True),
        ("import { a } from 'https://esm.sh/a'", True),
        ("background: url(https://a.org/a.png)", True),
        ("require.config({paths: {}})", True),
        ('<a href="https://arxiv.org/abs/2402.02364">the paper</a>', False),
        ('<svg xmlns="http://www.w3.org/2000/svg"></svg>', False),
        ('<img src="data:image/png;base64,AAAA">', False),
    ],
)
def test_what_a_browser_would_fetch_is_told_from_a_link(text: str, loads: bool):
    assert bool(LOADS_FROM_OUTSIDE.search(text)) == loads
