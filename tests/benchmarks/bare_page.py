"""The peer of the page's first picture: Panel and one Plotly figure. ``python bare_page.py PORT``"""

import os
import sys

os.environ["BOKEH_RESOURCES"] = "server"

import panel as pn
import plotly.graph_objects as go

pn.extension("plotly")


def page() -> pn.viewable.Viewable:
    return pn.pane.Plotly(go.Figure(go.Scatter(x=[0, 1, 2], y=[2, 0, 1])), sizing_mode="stretch_both")


port = int(sys.argv[1])
pn.serve({"/": page}, address="127.0.0.1", port=port, show=False, websocket_origin=[f"127.0.0.1:{port}"])
