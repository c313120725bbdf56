"""What a notebook keeps of a view: a picture, for those who read it without a kernel."""

import html

from devexplore.run import Run

CARD = """<div class="devexplore-still" data-view="{view}" style="max-width: 1200px">
{drawn}{picture}
<p style="margin: 4px 0; font-size: 12px; opacity: 0.75">{words}</p>
</div>
"""


def still_card(run: Run, view: str, picture: str = "") -> str:
    """HTML without scripts: loss and LLC with their stages; beside them ``picture`` (a data address), which
    the browser drew."""
    drawn = ""
    image = f'<img src="{html.escape(picture)}" alt="Trajectory" style="max-width: 100%">' if picture else ""
    words = f"devexplore: {html.escape(run.name)}. Run the cell to explore."
    return CARD.format(view=html.escape(view), drawn=drawn, picture=image, words=words)
