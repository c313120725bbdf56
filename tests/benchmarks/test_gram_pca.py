"""Gram PCA beside scikit-learn and dask: 150 checkpoints, from disk and in memory. For --benchmark-only.

Results are asserted to agree; times are reported, never asserted. All sides may use every core. Files are in
the page cache, as after measuring.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from sklearn.decomposition import PCA, IncrementalPCA

from devexplore.measure.pipeline import coarse_to_fine
from devexplore.stats import gram_matrix, gram_pca
from devexplore.store import Store, Variable, provenance

STEPS = 150
COMPONENTS = 3
WORKER = Path(__file__).with_name("gram_worker.py")
PEERS = ("PCA", "IncrementalPCA", "dask")
MINUTES = 5
"""What a peer may take for one size."""

HEAD = ("features", "method", "wall (s)", "peak memory (GB)", "times ours", "scores off by", "of the limit")


def trajectory(features: int) -> np.ndarray:
    """Three directions of variance 1, 0.5 and 0.02, and noise in all."""
    rng = np.random.default_rng(0)
    time = np.linspace(0, 2 * np.pi, STEPS)
    path = np.stack([np.cos(time / 2), 0.7 * np.sin(time), 0.15 * np.cos(2 * time)], axis=1)
    return path.astype(np.float32) @ rng.standard_normal((3, features), dtype=np.float32)


@pytest.fixture(params=[10**5, 10**6, 10**7], ids=lambda features: f"{features:.0e}")
def stored(request: pytest.FixtureRequest, tmp_path: Path):
    """Float16 in a store as a sweep leaves it: coarse to fine, chunks of a megabyte."""
    features, path = request.param, tmp_path / "s.zarr"
    rng = np.random.default_rng(1)
    directions = rng.standard_normal((3, features), dtype=np.float32)
    noise = 0.05 * rng.standard_normal(features, dtype=np.float32) - 3  # and an offset common to all
    layout = {"output": Variable(("feature",), (features,), np.float16)}
    angle = np.linspace(0, 2 * np.pi, STEPS)
    path_of = np.stack([np.cos(angle / 2), 0.7 * np.sin(angle), 0.15 * np.cos(2 * angle)], axis=1)
    with Store(path, mode="a") as store:
        writer = store.writer("outputs/logits", {}, layout, {}, {}, provenance(0, {}))
        for step in coarse_to_fine(range(STEPS)):
            output = path_of[step].astype(np.float32) @ directions + np.roll(noise, 7919 * step)
            writer.write(step, f"hash {step}", {"output": output.astype(np.float16)})
    yield features, path
    shutil.rmtree(path)


def run(method: str, path: Path, memory_gb: float) -> dict:
    """What the worker says; ``failed`` in words where it got to no end."""
    command = [sys.executable, str(WORKER), method, str(path), f"{memory_gb:.1f}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60 * MINUTES, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done in {MINUTES} minutes"}
    if done.returncode < 0:
        return {"failed": f"killed by signal {-done.returncode} at {memory_gb:.0f} GB"}
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def error(scores: np.ndarray, reference: np.ndarray) -> float:
    """The worst component's, relative to its size, whatever the sign."""
    signs = np.sign(np.sum(scores * reference, axis=0))
    return float((np.abs(scores * signs - reference).max(axis=0) / np.abs(reference).max(axis=0)).max())


def test_from_disk(benchmark, table, stored) -> None:
    pytest.importorskip("dask.array", reason='pip install -e ".[benchmark]"')
    features, path = stored
    memory_gb = 0.6 * psutil.virtual_memory().available / 1e9
    ours = benchmark.pedantic(run, ("devexplore", path, memory_gb), rounds=1)
    scores = np.array(ours.pop("scores"))
    benchmark.extra_info["devexplore"] = ours
    best = min(ours["rounds"]["ours"])
    words = f"{ours['of_limit']:.0%} ({ours['decoding']:.2f} + {ours['multiplying']:.2f} of {best:.2f} s)"
    table(
        HEAD,
        (f"{features:.0e}", "devexplore", f"{ours['seconds']:.2f}", f"{ours['peak_gb']:.2f}", "1", "", words),
    )
    for peer in PEERS:
        found = run(peer, path, memory_gb)
        if "failed" in found:
            benchmark.extra_info[peer] = found
            table(HEAD, (f"{features:.0e}", peer, found["failed"], "", "", "", ""))
            continue
        off = error(np.array(found.pop("scores")), scores)
        benchmark.extra_info[peer] = {**found, "off": off}
        ratio = found["seconds"] / ours["seconds"]
        row = (f"{found['seconds']:.2f}", f"{found['peak_gb']:.2f}", f"{ratio:.1f}", f"{off:.1g}", "")
        table(HEAD, (f"{features:.0e}", peer, *row))
        assert off < 1e-2


def test_from_memory(benchmark, table) -> None:
    """The same float32 array in memory for all, T = 150, F = 10⁶, three components."""
    data = trajectory(10**6)
    pca = benchmark.pedantic(lambda: gram_pca(gram_matrix([data]), COMPONENTS), rounds=5, warmup_rounds=1)
    ours = benchmark.stats.stats.median
    table(HEAD, ("1e+06 in memory", "devexplore", f"{ours:.2f}", "", "1", "", ""))
    for peer, rounds in ((PCA, 3), (IncrementalPCA, 1)):
        seconds = []
        for _ in range(rounds):
            start = time.perf_counter()
            scores = peer(n_components=COMPONENTS).fit_transform(data)
            seconds.append(time.perf_counter() - start)
        off, median = error(scores, pca.scores), float(np.median(seconds))
        benchmark.extra_info[peer.__name__] = {"seconds": seconds, "off": off}
        row = (f"{median:.2f}", "", f"{median / ours:.1f}", f"{off:.1g}", "")
        table(HEAD, ("1e+06 in memory", peer.__name__, *row))
        assert off < 1e-3
