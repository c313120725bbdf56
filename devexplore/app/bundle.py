"""The page's JavaScript in one piece, for where Panel does not bring it: saved pages and notebooks."""

import gzip
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import panel as pn

from devexplore.app.components import Asking, Shell, Single, script
from devexplore.app.panes import PANES

PLOTLY = Path(pn.__file__).parent / "dist" / "bundled" / "plotlyplot"

PARTS: dict[str, type[Asking]] = {
    **{name: pane.viewer for name, pane in PANES.items()},
    "shell": Shell,
    "single": Single,
}
"""What is drawn in the browser, by name."""

MODULE = """const others = Object.getOwnPropertyDescriptor(globalThis, "Plotly");
globalThis.devexplorePlotly ??= (module => {{
{plotly}
return module.exports;
}})({{exports: {{}}}});
delete globalThis.Plotly;
if (others) Object.defineProperty(globalThis, "Plotly", others);
const viewers = {viewers};
const sheets = {sheets};
const open = {host};
export const openDisplay = display => open({{...display, viewers, sheets}});
"""
"""Plotly leaves whatever Plotly the notebook has in its place."""


class Code(NamedTuple):
    """What draws in a notebook."""

    version: str
    """A hash of it: displays of one version share it."""
    packed: bytes
    """A JavaScript module, gzipped."""


@cache
def notebook_code() -> Code:
    """The module that draws displays in a notebook (``notebook_host.js``)."""
    text = MODULE.format(
        plotly=plotly_js(),
        viewers=viewers_js(*PARTS),
        sheets=json.dumps({name: part._stylesheets for name, part in PARTS.items()}),
        host=self_contained(("bus", "pane", "host", "notebook_host"), "openDisplay"),
    ).encode()
    return Code(hashlib.sha256(text).hexdigest()[:16], gzip.compress(text, 6, mtime=0))


def viewers_js(*names: str) -> str:
    """An object with ``{render}`` of these parts."""
    calls = (f"{json.dumps(name)}: {_call(str(PARTS[name]._esm), '{render}')}" for name in names)
    return "{\n" + ",\n".join(calls) + "\n}"


def self_contained(names: tuple[str, ...], what: str) -> str:
    """Our JavaScript files as an expression: what they call ``what``."""
    return _call(script(*names), what)


def plotly_js() -> str:
    """The Plotly that Panel brings along, which the served page uses too."""
    return next(PLOTLY.glob("plotly-*.min.js")).read_text(encoding="utf-8")


def _call(module: str, what: str) -> str:
    """One of our modules as a function that is called: what it exports."""
    inner = re.sub(r"^export default .*;$", "", module, flags=re.MULTILINE)
    return f'(() => {{ "use strict";\n{inner}\nreturn {what};\n}})()'
