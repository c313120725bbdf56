"""Runs that lack something: of the table, of one checkpoint, without this or that group."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import devexplore as dx


@pytest.fixture
def table_run(tmp_path: Path) -> Callable[[str], dx.Run]:
    """A run imported from a table of these columns: 60 steps of an LLC that rises, rests and falls."""
    step = np.unique(np.geomspace(1, 20_000, 60).round().astype(int)) - 1
    x = np.log1p(step)
    noise = np.random.default_rng(0).normal(size=step.size)
    columns = {
        "step": step,
        "llc": 5 + 20 / (1 + np.exp(-3 * (x - 4))) - 8 / (1 + np.exp(-4 * (x - 8))) + 0.05 * noise,
        "llc_se": np.full(step.shape, 0.1),
        "loss": 6 - 0.5 * x,
        "grad_norm": 1 + np.cos(x),
    }

    def made(names: str) -> dx.Run:
        wanted = ["step", *names.split(",")]
        rows = zip(*(columns[name] for name in wanted), strict=True)
        text = ",".join(wanted) + "\n" + "\n".join(",".join(map(str, row)) for row in rows)
        path = tmp_path / "table.csv"
        path.write_text(text + "\n", encoding="utf-8")
        return dx.import_table(path, tmp_path / names.replace(",", "-"))

    return made


@pytest.fixture
def run_without(measured_run: Callable[[str], Path], tmp_path: Path) -> Callable[..., dx.Run]:
    """A small measured run of a system from which groups were taken away."""

    def made(system: str, *groups: str) -> dx.Run:
        path = Path(shutil.copytree(measured_run(system), tmp_path / f"{system}-without"))
        for group in groups:
            shutil.rmtree(path / "measurements.zarr" / group)
        return dx.open(path)

    return made
