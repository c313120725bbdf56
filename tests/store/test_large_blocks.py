"""Blocks above a megabyte lie in several files, and read as if they lay in one, in any order of rows."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numcodecs.zstd import Zstd
from zarr.codecs import BytesCodec, ZstdCodec
from zarr.storage import LocalStore

from devexplore.errors import DamagedStore
from devexplore.store import Store, Variable, provenance
from devexplore.store.chunks import RowFiles
from devexplore.store.files import StrictFiles
from devexplore.store.group import _split

from .breaks import empty, flip_a_bit, truncate

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


@settings(max_examples=200)
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


@settings(max_examples=25)
@given(
    step=rows, sequence=st.one_of(st.integers(0, 2), st.just(slice(None, None, 2)), st.just(np.array([2, 0])))
)
def test_any_rows_are_read_as_numpy_would(path: Path, whole: xr.Variable, step, sequence):
    with Store(path) as store:
        lazy = store.open()["outputs/logits/output"].variable.isel(step=step, sequence=sequence)
        np.testing.assert_array_equal(lazy.values, whole.isel(step=step, sequence=sequence).values)


def hold_fewer_values(file: Path) -> None:
    file.write_bytes(Zstd().encode(np.ones(1000, np.float32)))


def hold_more_values(file: Path) -> None:
    file.write_bytes(Zstd().encode(np.ones(500 * 300 + 1, np.float32)))


@pytest.mark.parametrize(
    "damage", [truncate, empty, flip_a_bit, Path.unlink, hold_fewer_values, hold_more_values]
)
def test_damage_met_by_the_fast_path_is_named_as_ever(path: Path, tmp_path: Path, damage):
    copy = Path(shutil.copytree(path, tmp_path / "s.zarr"))
    damage(copy / "outputs/logits/output/c/2/1/0/0")
    with Store(copy) as store:
        output = store.open()["outputs/logits/output"]
        with pytest.raises(DamagedStore, match="c/2/1/0/0"):
            output.load()
        np.testing.assert_array_equal(output.sel(step=40).values, block(40))


@settings(max_examples=40)
@given(st.data())
def test_files_give_any_region_of_a_row_as_zarr_does(tmp_path_factory, data):
    shape = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=3))
    chunks = [data.draw(st.integers(1, size)) for size in shape]
    values = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    folder = tmp_path_factory.mktemp("array")
    zarr.create_array(
        LocalStore(folder),
        name="x",
        shape=values.shape,
        chunks=(1, *chunks),
        dtype="f4",
        compressors=ZstdCodec(),
    )[...] = values
    array = zarr.open_group(StrictFiles(LocalStore(folder), folder), mode="r")["x"]
    files = RowFiles.of(array)
    assert isinstance(files, RowFiles)
    bounds = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    region = [slice(start, stop) for start, stop in bounds]
    expected = values[1][tuple(region)]
    out = np.full_like(expected, np.nan)
    files.read(1, region, out)
    np.testing.assert_array_equal(out, expected)


def test_files_that_we_did_not_write_so_are_left_to_zarr(tmp_path: Path):
    def made(**how) -> zarr.Array:
        zarr.create_array(LocalStore(tmp_path), name="x", shape=(4, 6), dtype="f4", overwrite=True, **how)
        array = zarr.open_group(StrictFiles(LocalStore(tmp_path), tmp_path), mode="r")["x"]
        assert isinstance(array, zarr.Array)
        return array

    assert isinstance(RowFiles.of(made(chunks=(1, 6), compressors=ZstdCodec())), RowFiles)
    for how in (
        {"chunks": (2, 6), "compressors": ZstdCodec()},
        {"chunks": (1, 6), "compressors": None},
        {"chunks": (1, 3), "shards": (1, 6), "compressors": ZstdCodec()},
        {"chunks": (1, 6), "compressors": ZstdCodec(), "serializer": BytesCodec(endian="big")},
    ):
        assert RowFiles.of(made(**how)) is None
