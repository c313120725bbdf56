"""What a figure takes in a saved notebook."""

import json

import plotly.graph_objects as go
import pytest

import devexplore as dx
from devexplore.errors import InvalidSpec

LARGEST = 500_000
"""Bytes of one output in a saved notebook."""

FIGURES = tuple(name for name in dx.figures.__all__ if name not in ("LAYERS", "save"))
OF_ONE_SYSTEM = {"k_gons": "superposition", "staircase": "deep_linear"}
ARGUMENTS = {"token_history": (0, 0), "token_rankings": (1,)}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def size(output: go.Figure | str) -> int:
    """Bytes of its JSON in a notebook, without the blanks and line breaks with which Jupyter lays it out."""
    data = output if isinstance(output, str) else json.loads(output.to_json())
    return len(json.dumps(data, ensure_ascii=False).encode())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["language", "regression", "superposition", "deep_linear"])
def test_every_figure_of_a_bundled_run_is_small_in_a_saved_notebook(name):
    run = dx.open(name)
    stages = dx.find_stages(run)
    sizes = {}
    for figure in FIGURES:
        draw = getattr(dx.figures, figure)
        if OF_ONE_SYSTEM.get(figure, name) != name:
            with pytest.raises(InvalidSpec, match="only"):
                draw(run)
            continue
        given = {} if figure == "developments" else {"stages": stages}
        sizes[figure] = size(draw(run, *ARGUMENTS.get(figure, ()), **given))
    print({figure: f"{size / 1e3:.0f} kB" for figure, size in sizes.items()})
    assert {figure: size for figure, size in sizes.items() if size > LARGEST} == {}
