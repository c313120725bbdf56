"""Small made-up runs on disk (an LLC doubtful at one step and none at another, awkward token texts), a server
for them, and a browser.
"""

import json
import socket
import time

import numpy as np
import pytest
import torch
import xarray as xr

from devexplore.checkpoints import LocalCheckpoints, save_checkpoint
from devexplore.run import open_run
from devexplore.store import Store, Variable, provenance

AWKWARD = ['<script>alert("x")</script>', "&amp;", '"quoted"', "שלום", "é", " the", "\n", " plain"]


def steps(count=60, last=14_000):
    return np.unique(np.geomspace(1, last + 1, count).round().astype(int)) - 1


def write_run(folder, groups, system, step, count=12):
    """A run folder with these Datasets and one small tensor a checkpoint; the Run opened from it."""
    recipe = {
        "format": "devexplore-run",
        "version": 1,
        "system": system,
        "name": folder.name,
        "preset": "test",
    }
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({**recipe, "spec": {}, "seed": 0, "schedule": step.tolist()}))
    for at in step.tolist():
        tensors = {"weight": torch.full((count,), float(at))}
        save_checkpoint(folder / "checkpoints" / f"step_{at:08d}.safetensors", tensors)
    checkpoints = LocalCheckpoints(folder / "checkpoints")
    with Store(folder / "measurements.zarr", mode="a") as store:
        for name, data in groups.items():
            if "step" in data.dims:
                write_group(store, name, data, checkpoints)
            else:
                store.put(name, dict(data.data_vars), {}, {})
    return open_run(folder)


def write_group(store, name, data, checkpoints):
    layout = {}
    for variable, values in data.data_vars.items():
        one = values.isel(step=0)
        layout[variable] = Variable(one.dims, one.shape, values.dtype, values.attrs)
    coords = {dim: data[dim].values if dim in data.coords else np.arange(n) for dim, n in data.sizes.items()}
    coords.pop("step")
    writer = store.writer(name, {}, layout, coords, data.attrs, provenance(0, {}))
    for at in data["step"].values.tolist():
        block = data.sel(step=at, drop=True)
        writer.write(
            at, checkpoints.content_hash(at), {variable: block[variable].values for variable in layout}
        )


def language_groups(sequences=4, positions=40, vocab=6, seed=0):
    rng = np.random.default_rng(seed)
    step = steps()
    x = np.log10(1 + step)
    progress = 1 / (1 + np.exp(-3 * (x[:, None, None] - rng.uniform(0.8, 3.6, (1, sequences, positions)))))
    sign = np.where(rng.random((1, sequences, positions)) < 0.2, -0.35, 1.0)
    token_loss = 6.2 - 4.2 * progress * sign + 0.03 * rng.standard_normal((step.size, sequences, positions))
    losses = xr.Dataset(
        {
            "token_loss": (("step", "sequence", "position"), token_loss.astype("f4"), {"units": "nats"}),
            "test_loss": ("step", token_loss.mean((1, 2)), {"units": "nats"}),
        },
        coords={"step": step},
    )
    words = [
        *AWKWARD,
        " def",
        " test",
        "_",
        "poly",
        "(",
        "x",
        ")",
        ":",
        "\n",
        "    ",
        "assert",
        " factor",
        " ==",
        " y",
    ]
    text = np.array(
        [[words[(s + p) % len(words)] for p in range(positions + 1)] for s in range(sequences)], dtype=object
    )
    probe = xr.Dataset(
        {
            "token_text": (("sequence", "position"), text[:, :-1]),
            "target_text": (("sequence", "position"), text[:, 1:]),
        }
    )
    llc_true = (
        12
        + 30 / (1 + np.exp(-4 * (x - 1.9)))
        - 9 * np.exp(-((x - 3.1) ** 2) / 0.04)
        + 9 * (x > 3.4) * (x - 3.4)
    )
    rhat = 1.0 + 0.04 * rng.random(step.size)
    rhat[-4] = 1.4
    llc_true[5] = -30.0
    llc = xr.Dataset(
        {
            "llc": ("step", llc_true + 0.3 * rng.standard_normal(step.size)),
            "llc_se": ("step", np.full(step.size, 0.8)),
            "rhat": ("step", rhat),
            "ess": ("step", np.full(step.size, 140.0)),
            "excess_loss": ("step", np.linspace(0.4, 0.1, step.size)),
            "relative_distance": ("step", np.full(step.size, 0.02)),
            "diverged_chains": ("step", np.zeros(step.size, int)),
        },
        coords={"step": step},
    )
    metrics = xr.Dataset(
        {
            "weight_norm": ("step", 20 + 6 * x),
            "icl_score": ("step", 0.24 - 0.57 / (1 + np.exp(-6 * (x - 3.5))), {"units": "nats"}),
            "position_loss": (("step", "position"), token_loss.mean(1)),
        },
        coords={"step": step},
    )
    checkpoints = xr.Dataset(
        {
            "train_loss": (
                "step",
                losses["test_loss"].values + 0.08 * rng.standard_normal(step.size),
                {"units": "nats"},
            )
        },
        coords={"step": step},
    )
    directions = np.linalg.qr(rng.standard_normal((sequences * positions * vocab, 4)))[0].T
    angle = 1.15 * x
    path = np.stack(
        [9 * x, 4 * np.sin(angle * 1.4), 2.2 * np.cos(angle * 2), 1.1 * np.sin(angle * 3)], axis=1
    )
    flat = path @ directions + 0.01 * rng.standard_normal((step.size, directions.shape[1]))
    output = xr.Dataset(
        {
            "output": (
                ("step", "sequence", "position", "vocab"),
                flat.reshape(step.size, sequences, positions, vocab).astype("f4"),
            )
        },
        coords={"step": step},
        attrs={"kind": "log_probs"},
    )
    return {
        "checkpoints": checkpoints,
        "probe": probe,
        "losses": losses,
        "llc": llc,
        "metrics": metrics,
        "outputs/log_probs": output,
    }


def language_run(folder, *, without=(), **more):
    groups = language_groups(**more)
    return write_run(folder, {k: v for k, v in groups.items() if k not in without}, "language", steps())


def regression_run(folder):
    """A run without text and without an LLC, its trajectory straight between sharp turns: it has a form."""
    rng = np.random.default_rng(1)
    step = steps()
    x = np.log10(1 + step)
    token_loss = 4.1 - np.clip(x[:, None, None] - 1, 0, 3) * rng.uniform(0.1, 1.0, (1, 60, 8))
    losses = xr.Dataset(
        {
            "token_loss": (
                ("step", "sequence", "position"),
                token_loss.astype("f4"),
                {"units": "squared error"},
            ),
            "test_loss": ("step", token_loss.mean((1, 2)), {"units": "squared error"}),
        },
        coords={"step": step},
    )
    edges = np.diag([3.0, 2.5, 2.0, 1.5, 0.0])[:4]
    corners = np.concatenate([np.zeros((1, 5)), np.cumsum(edges, axis=0)])
    share = np.log1p(step) / np.log1p(step[-1])
    path = np.stack([np.interp(share, [0, 0.3, 0.5, 0.75, 1], column) for column in corners.T], axis=1)
    output = xr.Dataset(
        {"output": (("step", "feature"), path + 0.01 * rng.standard_normal(path.shape))},
        coords={"step": step},
        attrs={"kind": "predictions"},
    )
    return write_run(folder, {"losses": losses, "outputs/predictions": output}, "regression", step)


def wait_until(true, seconds=60):
    """Ask again and again, until it is true. What takes longer fails."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A language run with everything, a regression run without an LLC, and one with hardly anything."""
    folder = tmp_path_factory.mktemp("runs")
    bare = ("llc", "losses", "outputs/log_probs")
    return [
        language_run(folder / "made-up"),
        regression_run(folder / "lines"),
        language_run(folder / "bare", without=bare),
    ]


@pytest.fixture(scope="session")
def address(runs):
    from devexplore.app.page import free_port, serve

    port = free_port(0)
    server = serve(runs, port=port, open_browser=False, threaded=True)
    for _ in range(200):
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/"
    server.stop()


@pytest.fixture
def visit(browser, address):
    """Opens the page at a query; collects errors, outside requests and websocket frames."""
    contexts = []

    def open_page(query="", *, ready="svg .now"):
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.errors, page.outside, page.sent = [], [], []
        page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on(
            "request",
            lambda r: None if r.url.startswith((address, "data:", "blob:")) else page.outside.append(r.url),
        )

        def listen(socket):
            socket.on("framesent", lambda frame: page.sent.append(frame))
            socket.on("framereceived", lambda frame: page.sent.append(frame))

        page.on("websocket", listen)
        page.goto(address + query)
        if ready:
            page.wait_for_function(f"() => ({FIND})('{ready}')?.hasAttribute('cx') === true", timeout=60_000)
            page.locator(".chip").first.wait_for(timeout=60_000)
            settled = page.locator("section[aria-label=Trajectory] .foot").get_by_text("planes")
            settled.wait_for(timeout=60_000)  # the forms' conclusion: nothing more will come by itself
        page.wait_for_timeout(500)
        return page

    yield open_page
    for context in contexts:
        context.close()


FIND = """(selector) => {
  const look = root => root.querySelector(selector)
    ?? [...root.querySelectorAll('*')].filter(n => n.shadowRoot).map(n => look(n.shadowRoot)).find(Boolean);
  return look(document);
}"""
