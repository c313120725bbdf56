"""``dx.report``: the page of a run as one file that needs no Python and no network."""

import html
import json
import os
import re
from pathlib import Path

import devexplore
from devexplore.app.bundle import plotly_js, self_contained, viewers_js
from devexplore.app.job import Progress
from devexplore.app.panes import PANES
from devexplore.app.recorder import Recorder
from devexplore.app.selection import Selection
from devexplore.errors import InvalidSpec
from devexplore.paths import as_path, check_place, write_whole
from devexplore.run import Run
from devexplore.tree_run import stored_run
from devexplore.views.style import THEMES, ThemeName

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; worker-src blob:"
)
"""Nothing is fetched, whatever a run's texts hold. Plotly compiles its shaders' code: 'unsafe-eval'."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="devexplore {version}">
<title>{title}</title>
<style>html, body, #page {{ margin: 0; height: 100%; }}</style>
</head>
<body>
<div id="page"></div>
<noscript>This page is drawn by its own scripts, which the browser has been told not to run.</noscript>
<script>{plotly}</script>
<script type="application/json" id="report">{report}</script>
<script>
const viewers = {viewers};
{host}(JSON.parse(document.getElementById("report").textContent), viewers, document.getElementById("page"));
</script>
</body>
</html>
"""


def report(
    run: Run | str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    selection: Selection | None = None,
    theme: ThemeName | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page of a run as one HTML file: it opens without Python, server or network, and scrubs.

    All panes are in it, with all forms, all texts of the probe and the rankings of tokens over each stage.
    What needs the network itself or changes what is saved (a text or prompt of one's own, other components or
    boundaries) rests there, and says that the served page does it. Waits for what the page computes first.
    Folders of this machine are not told: commands and code in the file call the run by its own folder's name.

    Args:
        out: the file (None: the run's name and ``.html``, in the working folder). One that is there is
            replaced.
        selection: the view that the file opens with, ``Selection.from_json`` of what the page saved.
        theme: keep only this theme (smaller); None: both.
        progress: called with done, total (0: not known) and what is being done.

    Gives the path. Raises ``InvalidSpec`` for a theme that there is not, ``NotWritable`` where the file
    cannot be (before the work, if that can be seen; what was there stays), and what opening the run raises.
    """
    if theme is not None and theme not in THEMES:
        raise InvalidSpec(f"theme: expected {' or '.join(map(repr, THEMES))}, got {theme!r}")
    opened = stored_run(run)
    usual = re.sub(r"[^\w.-]+", "_", opened.name) + ".html"
    file = as_path(usual if out is None else out, "a file for the report")
    check_place(file, "the report")
    start = Selection()
    start.apply({} if selection is None else selection.state())
    start.apply({} if theme is None else {"theme": theme})
    recorder = Recorder(opened, start, list(THEMES) if theme is None else [theme], progress)
    recorded = recorder.record()
    text = json.dumps(recorded)[:-1] + f', "values": {recorder.values.json()}}}'
    return write_whole(file, _page(opened.name, text), "the report")


def _page(title: str, report: str) -> str:
    return PAGE.format(
        policy=POLICY,
        version=devexplore.__version__,
        title=html.escape(f"{title} · devexplore"),
        plotly=_inline(plotly_js()),
        report=report.replace("<", "\\u003c"),
        viewers=_inline(viewers_js("shell", *PANES)),
        host=_inline(self_contained(("bus", "pane", "host", "static_host"), "openReport")),
    )


def _inline(code: str) -> str:
    """JavaScript that no HTML parser takes for the end of its script."""
    return re.sub(r"</(?=script)|<(?=!--)", lambda found: "\\x3c" + found[0][1:], code, flags=re.IGNORECASE)
