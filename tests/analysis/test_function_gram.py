"""Gram matrices of stored outputs: exact, every chunk decoded once, grown rather than made again."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.analysis import function_gram as module
from devexplore.analysis.function_gram import feature_blocks, function_gram
from devexplore.analysis.gram_cache import kept_products
from devexplore.store import Store, Variable, provenance

SHAPE = (12, 500, 120)
"""Sequences, positions, vocabulary: 1.4 MB in float16, so two files for each checkpoint."""

STEPS = [0, 80, 40, 20, 60, 10, 30, 50, 70]  # coarse to fine, as a sweep writes them


def output(step: int) -> np.ndarray:
    return (np.random.default_rng(step).normal(size=SHAPE) + 4).astype(np.float16)


def write(path: Path, steps, scale: int = 1) -> None:
    layout = {"output": Variable(("sequence", "position", "vocab"), SHAPE, np.float16, {"kind": "logits"})}
    with Store(path, mode="a") as store:
        writer = store.writer("outputs/logits", {"scale": scale}, layout, {}, {}, provenance(0, {}))
        for step in steps:
            writer.write(step, f"hash{step}", {"output": scale * output(step)})


def opened(path: Path) -> SimpleNamespace:
    """What a run is to ``function_gram``."""
    tree = Store(path).open()
    return SimpleNamespace(
        name="planted",
        path=path.parent,
        has=lambda group: f"/{group}" in tree.groups,
        dataset=lambda group: tree[group].to_dataset(),
    )


def expected(steps) -> np.ndarray:
    data = np.stack([output(step).astype(np.float64).ravel() for step in sorted(steps)])
    data -= data.mean(axis=0)
    return data @ data.T


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run") / "measurements.zarr"
    write(path, STEPS)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("DEVEXPLORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("share", [1, 4, 50])
def test_it_is_the_gram_matrix_of_the_outputs_however_little_memory_there_is(path: Path, share: int):
    source = opened(path)
    nbytes = source.dataset("outputs/logits")["output"].nbytes
    found = function_gram(source, memory=2 * nbytes // share)
    assert found.kind == "logits"
    assert found.n_features == np.prod(SHAPE)
    assert found.step.tolist() == sorted(STEPS)
    truth = expected(STEPS)
    np.testing.assert_allclose(found.gram, truth, rtol=0, atol=1e-12 * np.abs(truth).max())


def test_every_chunk_is_decoded_once(path: Path, monkeypatch):
    decoded: Counter[str] = Counter()
    read_bytes = Path.read_bytes

    def counting(file: Path) -> bytes:
        decoded[file.as_posix()] += 1
        return read_bytes(file)

    source = opened(path)
    stored = source.dataset("outputs/logits")["output"]
    monkeypatch.setattr(Path, "read_bytes", counting)
    blocks = [block.shape for block in feature_blocks(stored, stored.nbytes // 2)]
    chunks = {key: count for key, count in decoded.items() if "/output/c/" in key}
    assert blocks == [(len(STEPS), np.prod(SHAPE) // 2)] * 2
    assert len(chunks) == 2 * len(STEPS)
    assert set(chunks.values()) == {1}


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3),
    st.integers(1, 3000),
)
def test_blocks_hold_every_feature_once_and_no_more_than_they_may(dimensions, most):
    sizes = [size for size, _ in dimensions]
    data = np.arange(2 * np.prod(sizes)).reshape(2, *sizes)
    names = ["a", "b", "c"][: len(sizes)]
    array = xr.DataArray(data, dims=["step", *names])
    array.encoding["preferred_chunks"] = {
        name: min(size, chunk) for name, (size, chunk) in zip(names, dimensions, strict=True)
    }
    blocks = list(feature_blocks(array, most))
    assert all(block.nbytes <= most or block.shape[1] == 1 for block in blocks)
    found = np.concatenate(blocks, axis=1)
    np.testing.assert_array_equal(np.sort(found[0]), data[0].ravel())
    np.testing.assert_array_equal(found[1], found[0] + data[1].flat[0])


def test_only_products_with_new_checkpoints_are_computed(tmp_path: Path, monkeypatch, cache: Path):
    asked = []
    products_from = module.products_from

    def recording(reference, blocks, rows=None, threads=None):
        asked.append(None if rows is None else rows.tolist())
        return products_from(reference, blocks, rows, threads)

    monkeypatch.setattr(module, "products_from", recording)
    monkeypatch.setattr(module, "_WORTH_KEEPING", 0)
    path = tmp_path / "run" / "measurements.zarr"
    for steps, computed in ((STEPS[:6], [None]), (STEPS[:6], []), (STEPS, [[3, 5, 7]]), (STEPS, [])):
        asked.clear()
        write(path, steps)
        found = function_gram(opened(path))
        assert asked == computed
        truth = expected(steps)
        np.testing.assert_allclose(found.gram, truth, rtol=0, atol=1e-12 * np.abs(truth).max())
    (kept,) = (cache / "grams").iterdir()
    for damage in (lambda content: content[:-1], lambda content: b"", lambda content: content[::-1]):
        kept.write_bytes(damage(kept.read_bytes()))
        asked.clear()
        again = function_gram(opened(path))
        assert asked == [None]
        np.testing.assert_allclose(again.gram, found.gram, rtol=0, atol=1e-12 * np.abs(truth).max())


def test_other_outputs_of_the_same_weights_are_not_taken_for_these(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "_WORTH_KEEPING", 0)
    path = tmp_path / "run" / "measurements.zarr"
    write(path, STEPS[:3])
    once = function_gram(opened(path))
    with Store(path, mode="a") as store:
        store.discard("outputs/logits")
    write(path, STEPS[:3], scale=2)
    np.testing.assert_allclose(function_gram(opened(path)).gram, 4 * once.gram, rtol=1e-12)


@settings(max_examples=60)
@given(st.data())
def test_whatever_comes_and_goes_the_kept_products_are_right(tmp_path_factory, data):
    features = np.random.default_rng(0).normal(size=(10, 7))
    file = tmp_path_factory.mktemp("grams") / "one.gram"
    for _ in range(4):
        chosen = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=10, unique=True))

        def products(reference, rows, points=features[chosen]):
            about = points - points[reference]
            return (about if rows is None else about[rows]) @ about.T

        found = kept_products(file, [f"weights {row}" for row in chosen], products)
        centre = np.eye(len(chosen)) - 1 / len(chosen)
        np.testing.assert_allclose(
            centre @ found @ centre, centre @ features[chosen] @ features[chosen].T @ centre, atol=1e-12
        )


def test_a_cache_that_cannot_be_written_costs_nothing(tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    found = kept_products(tmp_path / "file" / "one.gram", ["a", "b"], lambda reference, rows: np.eye(2))
    np.testing.assert_array_equal(found, np.eye(2))
