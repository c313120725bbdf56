import os

# Panel reads it when it loads: no style or script from outside. It is not left set: what else this Python
# shows with Bokeh, in a notebook say, is not ours to rule.
_BEFORE = os.environ.get("BOKEH_RESOURCES")
os.environ.setdefault("BOKEH_RESOURCES", "server")

import panel as panel  # noqa: E402

if _BEFORE is None:
    del os.environ["BOKEH_RESOURCES"]
