"""A small made-up run with the contract's Datasets: three stages, one doubtful LLC, awkward token texts."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import xarray as xr

from devexplore.errors import NotMeasured

AWKWARD = ['<script>alert("x")</script>', "&amp;", '"quoted"', "שלום", "é", " the", "\n", " plain"]


def steps(count=60, last=14_000):
    return np.unique(np.geomspace(1, last + 1, count).round().astype(int)) - 1


class SyntheticRun:
    """What the page uses of a Run, over Datasets in memory."""

    def __init__(self, groups, *, name="made-up", system="language", step=None):
        self.groups, self.name, self.system = groups, name, system
        self.path = Path("runs") / name
        self.recipe = {"parameters": 107_904}
        self.checkpoints = SimpleNamespace(steps=steps() if step is None else step)

    def has(self, group):
        return group in self.groups

    def dataset(self, group):
        if group not in self.groups:
            raise NotMeasured(f"{group} is not measured; run: devexplore measure {self.path} --only {group}")
        return self.groups[group]


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
    words = AWKWARD + [
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


def language_run(**more):
    return SyntheticRun(language_groups(**more))


def regression_run():
    """A run without text and without an LLC."""
    rng = np.random.default_rng(1)
    step = steps(30)
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
        coords={"step": step, "position": np.arange(8)},
    )
    output = (
        language_groups(seed=2)["outputs/log_probs"].isel(step=slice(0, step.size)).assign_coords(step=step)
    )
    return SyntheticRun(
        {"losses": losses, "outputs/predictions": output}, name="lines", system="regression", step=step
    )
