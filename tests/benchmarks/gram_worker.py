"""One method on one store in a process of its own, so that its peak memory is its own. Prints JSON.

    python gram_worker.py METHOD STORE MEMORY_GB

``seconds`` is the wall time of reading and computing three components (imports and opening left out),
``peak_gb`` the most that the whole process held. Methods: devexplore, PCA, IncrementalPCA, dask.
"""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

GROUP, VARIABLE = "outputs/logits", "output"
COMPONENTS = 3
BATCH = 15
"""Checkpoints that IncrementalPCA is given at a time: a tenth of them."""

ROUNDS = 3


def devexplore(path: Path) -> tuple[dict, np.ndarray]:
    """And how near it comes to the limit: all chunks decoded once, then one product T × T × F in float64."""
    from devexplore.analysis.function_gram import function_gram
    from devexplore.stats import gram_pca
    from devexplore.store import Store

    with Store(path) as store:
        output = store.open()[f"{GROUP}/{VARIABLE}"]
        ours, decoding, multiplying = [], [], []
        for _ in range(ROUNDS):  # in turn, so that other work on the machine meets both alike
            start = time.perf_counter()
            pca = gram_pca(function_gram(output).gram, COMPONENTS)
            ours.append(time.perf_counter() - start)
            peak = _peak_gb()
            decoding.append(_seconds(lambda: decode_all(path / GROUP / VARIABLE)))
            multiplying.append(_seconds(lambda: multiply(*output.shape)))
    return {
        "seconds": statistics.median(ours),
        "peak_gb": peak,
        "decoding": min(decoding),
        "multiplying": min(multiplying),
        "of_limit": (min(decoding) + min(multiplying)) / min(ours),  # of each, the least disturbed round
        "rounds": {"ours": ours, "decoding": decoding, "multiplying": multiplying},
    }, pca.scores


def decode_all(folder: Path) -> None:
    """Every chunk file into one buffer for each thread; nothing else is done with it."""
    from numcodecs.zstd import Zstd

    files = sorted(file for file in (folder / "c").rglob("*") if file.is_file())
    threads = os.cpu_count() or 1

    def some(files: list[Path]) -> None:
        codec, buffer = Zstd(), np.empty(2**21, np.uint8)
        for file in files:
            codec.decode(file.read_bytes(), buffer)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(some, [files[k::threads] for k in range(threads)]))


def multiply(steps: int, features: int) -> None:
    """The symmetric product alone, on numbers that are in the cache already."""
    from threadpoolctl import threadpool_limits

    threads, width = os.cpu_count() or 1, 2048

    def some(_: int) -> None:
        numbers, product = np.ones((steps, width)), np.empty((steps, steps))
        for _ in range(features // (threads * width)):
            np.matmul(numbers, numbers.T, out=product)

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(some, range(threads)))


def sklearn_pca(path: Path) -> tuple[dict, np.ndarray]:
    from sklearn.decomposition import PCA

    array = _opened(path)
    start = time.perf_counter()
    scores = PCA(n_components=COMPONENTS).fit_transform(array[:].astype(np.float32))
    return {"seconds": time.perf_counter() - start, "peak_gb": _peak_gb()}, scores[_order(path)]


def sklearn_incremental(path: Path) -> tuple[dict, np.ndarray]:
    """A few checkpoints at a time, as it is meant to be used when they do not fit."""
    from sklearn.decomposition import IncrementalPCA

    array = _opened(path)
    batches = [slice(first, first + BATCH) for first in range(0, array.shape[0], BATCH)]
    start = time.perf_counter()
    pca = IncrementalPCA(n_components=COMPONENTS)
    for batch in batches:
        pca.partial_fit(array[batch].astype(np.float32))
    scores = np.concatenate([pca.transform(array[batch].astype(np.float32)) for batch in batches])
    return {"seconds": time.perf_counter() - start, "peak_gb": _peak_gb()}, scores[_order(path)]


def dask(path: Path) -> tuple[dict, np.ndarray]:
    """``svd_compressed`` of the centred array with one power iteration: with none (its default) the third
    component is off by a fifth, with one it is right to 0.1 %."""
    import dask.array as da

    start = time.perf_counter()
    data = da.from_zarr(str(path), component=f"{GROUP}/{VARIABLE}").astype(np.float32)
    data = data.rechunk((data.shape[0], data.chunksize[1]))
    left, size, _ = da.linalg.svd_compressed(data - data.mean(axis=0), k=COMPONENTS, n_power_iter=1, seed=0)
    scores = np.asarray((left * size).compute())
    return {"seconds": time.perf_counter() - start, "peak_gb": _peak_gb()}, scores[_order(path)]


METHODS: dict[str, Callable[[Path], tuple[dict, np.ndarray]]] = {
    "devexplore": devexplore,
    "PCA": sklearn_pca,
    "IncrementalPCA": sklearn_incremental,
    "dask": dask,
}


def _opened(path: Path, variable: str = VARIABLE) -> Any:
    import zarr

    return zarr.open_group(path, mode="r")[f"{GROUP}/{variable}"]


def _order(path: Path) -> np.ndarray:
    """Rows by training step: they lie in the order in which they were measured."""
    return np.argsort(np.asarray(_opened(path, "step")[:]))


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _peak_gb() -> float:
    """Where the kernel tells it, of this program alone: ``ru_maxrss`` remembers the one that started it."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9


def main() -> None:
    method, path, memory_gb = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_DATA, (int(memory_gb * 1e9),) * 2)
    try:
        found, scores = METHODS[method](path)
    except MemoryError:
        print(json.dumps({"failed": f"asked for more than {memory_gb:.0f} GB"}))
        return
    print(json.dumps({**found, "scores": scores.tolist()}))


if __name__ == "__main__":
    main()
