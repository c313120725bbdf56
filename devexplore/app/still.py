"""What a notebook keeps of a view: a picture, for those who read it without a kernel."""

import html

from devexplore.app.derived import READ_ERRORS
from devexplore.run import Run
from devexplore.views.still import still

CARD = """<div class="devexplore-still" data-view="{view}" style="max-width: 1200px">
<div style="display: flex; flex-wrap: wrap; gap: 16px; align-items: center">
<div style="flex: 1 1 420px; min-width: 0">{drawn}</div>{picture}
</div>
<p style="margin: 4px 0; font-size: 12px; opacity: 0.75">devexplore: {name}. Run the cell to explore.</p>
</div>
"""

PICTURE = (
    '<div style="flex: 1 1 420px; min-width: 0"><img src="{source}" alt="Trajectory" width="100%"></div>'
)


def still_card(run: Run, view: str, picture: str = "") -> str:
    """HTML without scripts: loss and LLC with their stages; beside them ``picture`` (a data address), which
    the browser drew."""
    try:
        drawn = still(run)
    except READ_ERRORS:  # a picture less
        drawn = ""
    image = PICTURE.format(source=html.escape(picture)) if picture else ""
    return CARD.format(view=html.escape(view), drawn=drawn, picture=image, name=html.escape(run.name))
