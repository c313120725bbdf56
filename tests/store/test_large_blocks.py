"""Blocks above a megabyte lie in several files, and read as if they lay in one, in any order of rows."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from devexplore.errors import DamagedStore
from devexplore.store import Store, Variable, provenance
from devexplore.store.group import _split

STEPS = [40, 0, 30, 10, 20]  # as a sweep takes them: coarse to fine
SHAPE = (3, 500, 300)
LAYOUT = {"output": Variable(("sequence", "position", "vocab"), SHAPE, np.float32)}


def block(step: int) -> np.ndarray:
    return np.random.default_rng(step).integers(0, 9, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("store") / "s.zarr"
    with Store(path, mode="a") as store:
        writer = store.writer("outputs/logits", {}, LAYOUT, {}, {}, provenance(0, {}))
        for step in STEPS:
            writer.write(step, f"hash{step}", {"output": block(step)})
    return path


@pytest.fixture(scope="module")
def whole() -> xr.Variable:
    return xr.Variable(("step", *LAYOUT["output"].dims), np.stack([block(step) for step in sorted(STEPS)]))


def test_no_file_holds_more_than_a_megabyte_of_one_step(path: Path):
    array = zarr.open_group(path, mode="r")["outputs/logits/output"]
    assert isinstance(array, zarr.Array)
    assert array.chunks == (1, 1, 500, 300)
    with Store(path) as store:
        output = store.open()["outputs/logits/output"]
        assert tuple(output.encoding["preferred_chunks"][name] for name in output.dims) == array.chunks


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=4).map(tuple), st.integers(1, 10**6))
def test_chunks_are_contiguous_within_the_limit_and_no_smaller_than_they_need_be(shape, most):
    chunks = _split(shape, most)
    assert all(1 <= chunk <= size for chunk, size in zip(chunks, shape, strict=True))
    assert np.prod(chunks, dtype=np.int64) <= most
    split = [axis for axis, (chunk, size) in enumerate(zip(chunks, shape, strict=True)) if chunk < size]
    if split:  # one row in every axis before the last that is split, and all of every axis after it
        assert chunks[: split[-1]] == (1,) * split[-1]
        assert 2 * np.prod(chunks, dtype=np.int64) > most or 2 * chunks[split[-1]] > shape[split[-1]]


rows = st.one_of(
    st.integers(-5, 4),
    st.builds(slice, st.integers(-5, 5), st.integers(-5, 5), st.sampled_from([None, 2])),
    st.lists(st.integers(-5, 4), max_size=6).map(lambda values: np.array(values, dtype=int)),
)


@settings(max_examples=25, deadline=None)
@given(
    step=rows, sequence=st.one_of(st.integers(0, 2), st.just(slice(None, None, 2)), st.just(np.array([2, 0])))
)
def test_any_rows_are_read_as_numpy_would(path: Path, whole: xr.Variable, step, sequence):
    with Store(path) as store:
        lazy = store.open()["outputs/logits/output"].variable.isel(step=step, sequence=sequence)
        np.testing.assert_array_equal(lazy.values, whole.isel(step=step, sequence=sequence).values)


def test_one_lost_file_of_a_block_is_named(path: Path):
    lost = path / "outputs/logits/output/c/2/1/0/0"
    content = lost.read_bytes()
    lost.unlink()
    try:
        with Store(path) as store:
            output = store.open()["outputs/logits/output"]
            with pytest.raises(DamagedStore, match="c/2/1/0/0"):
                output.load()
            np.testing.assert_array_equal(output.sel(step=40).values, block(40))
    finally:
        lost.write_bytes(content)
