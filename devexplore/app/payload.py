"""Views' dictionaries and figures as JSON for the browser.

Arrays travel as base64 typed arrays in Plotly's own convention (``dtype``, ``bdata``), which Plotly decodes
itself and ``decode`` in bus.js decodes for us: compact, and NaN survives.
"""

import base64
import json
from typing import Any

import numpy as np
import plotly.graph_objects as go

CODES = {"float32": "f4", "float64": "f8"}


def encode(payload: Any) -> str:
    """JSON text of nested dictionaries, lists, arrays and Plotly figures."""
    return json.dumps(payload, default=_encode, allow_nan=False)


def _encode(value: Any) -> Any:
    if isinstance(value, go.Figure):
        return json.loads(value.to_json() or "{}")
    if isinstance(value, np.ndarray):
        if value.dtype.name not in CODES:
            return value.tolist()
        return {"dtype": CODES[value.dtype.name], "bdata": base64.b64encode(value.tobytes()).decode()}
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent to the page")
