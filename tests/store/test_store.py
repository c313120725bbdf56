"""What is written is read back, in order, once, and never beside results that it does not belong to."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devexplore.errors import (
    DevexploreError,
    InvalidSpec,
    MissingExtra,
    NotWritable,
    RunNotFound,
    SchemaError,
    StoreConflict,
)
from devexplore.store import Store, Variable, pack, provenance

SPEC = {"probe": "abc", "sampler": {"n_beta": 30.0, "step_size": 1e-4}}
COORDS = {"sequence": np.arange(3), "position": np.arange(4)}
LAYOUT = {
    "token_loss": Variable(("sequence", "position"), (3, 4), np.float32, {"units": "nats"}),
    "test_loss": Variable((), (), np.float64, {"units": "nats"}),
    "best_token": Variable(("sequence",), (3,), str),
}


def block(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    loss = rng.normal(size=(3, 4)).astype(np.float32)
    return {
        "token_loss": loss,
        "test_loss": np.float64(loss.mean()),
        "best_token": np.array([f"·{step}", "", "é😀"]),
    }


def open_writer(store: Store, spec=SPEC, layout=LAYOUT, coords=COORDS, seed=0, group="losses"):
    return store.writer(group, spec, layout, coords, {"about": "test"}, provenance(seed, {"probe": "abc"}))


def filled(path: Path, steps) -> Path:
    with Store(path, mode="a") as store:
        writer = open_writer(store)
        for step in steps:
            writer.write(step, f"hash{step}", block(step))
    return path


def one_line(error: pytest.ExceptionInfo[DevexploreError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@settings(max_examples=25)
@given(steps=st.lists(st.integers(0, 10**12), unique=True, max_size=6))
def test_blocks_written_in_any_order_are_read_in_order_of_steps(tmp_path_factory, steps):
    path = filled(tmp_path_factory.mktemp("store") / "s.zarr", steps)
    with Store(path) as store:
        losses = store.open()["losses"].to_dataset()
        np.testing.assert_array_equal(losses.step, np.array(sorted(steps), dtype=np.int64))
        for step in steps:
            at = losses.sel(step=step)
            assert str(at.content_hash.item()) == f"hash{step}"
            for name, expected in block(step).items():
                np.testing.assert_array_equal(at[name].values, expected)
                assert at[name].dtype == (object if name == "best_token" else expected.dtype)


def test_a_group_without_blocks_has_no_steps(tmp_path: Path):
    with Store(filled(tmp_path / "s.zarr", [])) as store:
        losses = store.open()["losses"].to_dataset()
        assert losses.sizes == {"step": 0, "sequence": 3, "position": 4}
        assert losses.token_loss.values.shape == (0, 3, 4)


def test_more_steps_than_fit_one_file_are_read_back(tmp_path: Path):
    steps = list(range(0, 1500, 10))
    with Store(filled(tmp_path / "s.zarr", steps)) as store:
        losses = store.open()["losses"].load()
        np.testing.assert_array_equal(losses.step, steps)
        np.testing.assert_array_equal(losses.test_loss, [block(step)["test_loss"] for step in steps])


def test_units_names_and_coordinates_survive(tmp_path: Path):
    with Store(filled(tmp_path / "s.zarr", [1])) as store:
        losses = store.open()["losses"].to_dataset()
    assert losses.token_loss.attrs["units"] == "nats"
    assert losses.token_loss.dims == ("step", "sequence", "position")
    np.testing.assert_array_equal(losses.position, np.arange(4))
    assert losses.attrs["about"] == "test"
    assert "measured" not in losses


def test_every_group_says_where_its_numbers_come_from(tmp_path: Path):
    path = filled(tmp_path / "s.zarr", [1])
    with Store(path, mode="a") as store:
        store.put("probe", {"token_id": (("sequence",), np.arange(3))}, {}, {"about": "probe"})
        tree = store.open()
    assert json.loads(tree["losses"].attrs["spec"]) == SPEC
    assert tree["losses"].attrs["seed"] == 0
    assert json.loads(tree["losses"].attrs["sources"]) == {"probe": "abc"}
    for group in ("losses", "probe"):
        assert {"python", "numpy", "xarray", "zarr"} <= set(json.loads(tree[group].attrs["versions"]))
        assert tree[group].attrs["created"].endswith("+00:00")


def test_nan_is_a_value_and_its_block_counts_as_measured(tmp_path: Path):
    with Store(tmp_path / "s.zarr", mode="a") as store:
        nothing = {**block(5), "token_loss": np.full((3, 4), np.nan, np.float32), "test_loss": np.nan}
        open_writer(store).write(5, "h", nothing)
        assert open_writer(store).measured == {5: "h"}
        assert np.isnan(store.open()["losses/token_loss"].values).all()
        assert store.verify() == []


def test_writing_a_measured_step_again_changes_no_file(tmp_path: Path):
    path = filled(tmp_path / "s.zarr", [1, 2])
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with Store(path, mode="a") as store:
        open_writer(store).write(2, "hash2", block(77))
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


def test_a_measured_step_is_never_overwritten_by_other_weights(tmp_path: Path):
    with Store(filled(tmp_path / "s.zarr", [1, 2]), mode="a") as store:
        with pytest.raises(StoreConflict) as error:
            open_writer(store).write(2, "another", block(77))
        one_line(error, "step 2", "hash2", "another", "a folder of its own")
        np.testing.assert_array_equal(store.open()["losses/token_loss"].sel(step=2), block(2)["token_loss"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            {"spec": {**SPEC, "sampler": {"n_beta": 100.0, "step_size": 1e-4}}},
            "sampler.n_beta 30.0 (asked: 100.0)",
        ),
        ({"spec": {**SPEC, "extra": True}}, "extra absent (asked: true)"),
        ({"seed": 1}, "seed 0 (asked: 1)"),
        (
            {"layout": {**LAYOUT, "token_loss": Variable(("sequence", "position"), (3, 4), np.float64)}},
            "float64",
        ),
        ({"layout": {k: v for k, v in LAYOUT.items() if k != "test_loss"}}, "test_loss"),
        ({"coords": {**COORDS, "position": np.arange(1, 5)}}, "another coordinate position"),
        ({"coords": {"sequence": np.arange(3)}}, "another coordinate position"),
    ],
)
def test_reopening_for_something_else_says_what_differs(tmp_path: Path, change, named: str):
    path = filled(tmp_path / "s.zarr", [1])
    with Store(path, mode="a") as store:
        with pytest.raises(StoreConflict) as error:
            open_writer(store, **change)
        one_line(error, named, str(path / "losses"), "ask for what is stored")
        assert open_writer(store).measured == {1: "hash1"}


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"token_loss": np.zeros((3, 4))}, "best_token"),
        ({**block(1), "token_loss": np.zeros((4, 3), np.float32)}, "(3, 4)"),
        ({**block(1), "token_loss": np.zeros((3, 4), complex)}, "complex"),
    ],
)
def test_a_block_of_another_shape_is_refused_whole(tmp_path: Path, arrays, named: str):
    with Store(tmp_path / "s.zarr", mode="a") as store:
        writer = open_writer(store)
        with pytest.raises(InvalidSpec) as error:
            writer.write(1, "h", arrays)
        one_line(error, named)
        assert writer.measured == {}


def test_the_stores_own_names_cannot_be_layout(tmp_path: Path):
    with Store(tmp_path / "s.zarr", mode="a") as store, pytest.raises(InvalidSpec) as error:
        open_writer(store, layout={"measured": Variable((), (), bool)})
    one_line(error, "kept by the store")


@pytest.mark.parametrize("name", ["../escape", "a//b", "", "a b"])
def test_group_names_cannot_leave_the_store(tmp_path: Path, name: str):
    refused = pytest.raises(InvalidSpec, match="group names are words joined by '/'")
    with Store(tmp_path / "s.zarr", mode="a") as store, refused:
        open_writer(store, group=name)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(text, min_size=1, max_size=8))
def test_any_text_survives(tmp_path_factory, words):
    # Empty, right-to-left, emoji, NUL and line ends are all tokens that a tokenizer can have.
    words = [*words, "", "שלום", "👩‍👩‍👧", "a\x00", "\n"]
    with Store(tmp_path_factory.mktemp("store") / "s.zarr", mode="a") as store:
        store.put("probe", {"token_text": (("position",), np.array(words, dtype=object))}, {}, {})
        assert store.open()["probe/token_text"].values.tolist() == words


def test_putting_the_same_group_again_does_nothing_and_another_is_refused(tmp_path: Path):
    values = {
        "x": (("a", "b"), np.array([[1.0, np.nan]]), {"units": "nats"}),
        "t": (("b",), np.array(["p", "q"])),
    }
    with Store(tmp_path / "s.zarr", mode="a") as store:
        store.put("probe", values, {"a": np.array([7])}, {"note": "n"})
        before = store.open()["probe"].load().to_dataset()
        store.put("probe", values, {"a": np.array([7])}, {"note": "n"})
        xr.testing.assert_identical(store.open()["probe"].to_dataset(), before)
        assert before.x.attrs["units"] == "nats"
        for other in ({**values, "t": (("b",), np.array(["p", "r"]))}, {"x": values["x"]}):
            with pytest.raises(StoreConflict) as error:
                store.put("probe", other, {"a": np.array([7])}, {})
            one_line(error, "other values of t", "group probe")


def test_coordinates_that_are_no_dimensions_stay_coordinates(tmp_path: Path):
    with Store(tmp_path / "s.zarr", mode="a") as store:
        coords = {"position": np.arange(2), "label": (("position",), np.array(["a", "b"]))}
        store.put("probe", {"x": (("position",), np.arange(2.0))}, coords, {})
        assert set(store.open()["probe"].to_dataset().coords) == {"position", "label"}


def test_xarray_alone_reads_the_same_numbers(tmp_path: Path):
    path = filled(tmp_path / "s.zarr", [20, 10])
    with xr.open_datatree(path, engine="zarr", consolidated=False) as plain, Store(path) as store:
        ours = store.open()["losses"].to_dataset()
        theirs = plain["losses"].to_dataset()
        theirs = theirs.isel(step=theirs.measured.values).sortby("step")
        np.testing.assert_array_equal(ours.token_loss, theirs.token_loss)
        assert set(theirs.coords) == {"step", "sequence", "position"}


def slices(size: int):
    # xarray 2026.9 itself fails on slices that are empty and run backwards.
    return st.slices(size).filter(lambda s: (s.step or 1) > 0 or len(range(*s.indices(size))) > 0)


index = st.one_of(
    st.integers(-5, 4),
    slices(5),
    st.lists(st.integers(-5, 4), max_size=7).map(lambda values: np.array(values, dtype=int)),
)


@settings(max_examples=60)
@given(step=index, sequence=st.one_of(st.integers(-3, 2), slices(3)))
def test_lazy_indexing_is_numpy_indexing(tmp_path_factory, step, sequence):
    path = filled(tmp_path_factory.mktemp("store") / "s.zarr", [40, 0, 30, 10, 20])
    with Store(path) as store:
        losses = store.open()["losses/token_loss"]
        whole = xr.Variable(losses.dims, np.stack([block(s)["token_loss"] for s in (0, 10, 20, 30, 40)]))
        lazy = losses.variable.isel(step=step, sequence=sequence)
        np.testing.assert_array_equal(lazy.values, whole.isel(step=step, sequence=sequence).values)


def test_opening_reads_no_measured_array(tmp_path: Path):
    path = filled(tmp_path / "s.zarr", [1, 2])
    for file in (path / "losses" / "token_loss" / "c").rglob("*"):
        if file.is_file():
            file.unlink()
    with Store(path) as store:
        assert store.open()["losses/test_loss"].values.shape == (2,)


def test_a_reader_sees_blocks_that_were_complete_when_it_opened(tmp_path: Path):
    path = filled(tmp_path / "s.zarr", [1, 2])
    with Store(path) as reader:
        tree = reader.open()
        filled(path, [3])
        np.testing.assert_array_equal(tree["losses/step"], [1, 2])
        np.testing.assert_array_equal(tree["losses/token_loss"][1], block(2)["token_loss"])
        np.testing.assert_array_equal(reader.open()["losses/step"], [1, 2, 3])


def test_two_writers_at_once_are_refused_until_the_first_is_done(tmp_path: Path):
    first, second = Store(tmp_path / "s.zarr", mode="a"), Store(tmp_path / "s.zarr", mode="a")
    open_writer(first)
    with pytest.raises(NotWritable) as error:
        open_writer(second)
    one_line(error, "s.zarr", f"process {os.getpid()} is writing", "wait until it has finished")
    first.close()
    open_writer(second)
    second.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.zarr"]


def test_a_lock_file_left_by_a_killed_writer_locks_nobody_out(tmp_path: Path):
    code = (
        "import os, sys, pathlib; from devexplore.store.lock import WriterLock\n"
        "lock = WriterLock(pathlib.Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    lock = tmp_path / "s.zarr.lock"
    subprocess.run([sys.executable, "-c", code, str(lock)], check=False)
    assert lock.exists()
    filled(tmp_path / "s.zarr", [1])
    assert not lock.exists()


def test_readers_need_no_lock(tmp_path: Path):
    filled(tmp_path / "s.zarr", [1])
    with Store(tmp_path / "s.zarr", mode="a") as writing, Store(tmp_path / "s.zarr") as reading:
        open_writer(writing)
        assert reading.open()["losses"].sizes["step"] == 1


def test_a_full_disk_is_told_in_words_and_keeps_what_is_complete(tmp_path: Path):
    # A limit on the size of files makes the system refuse a write in the middle, as a full disk does.
    code = """
import resource, signal, sys
import fsspec
import numpy as np
from devexplore.errors import NotWritable
from devexplore.store import Store, Variable, provenance
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
layout = {"x": Variable(("a",), (50000,), np.float64)}
with Store(sys.argv[1], mode="a") as store:
    writer = store.writer("losses", {}, layout, {}, {}, provenance(0, {}))
    rng = np.random.default_rng(0)
    writer.write(1, "h1", {"x": rng.normal(size=50000)})
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        writer.write(2, "h2", {"x": rng.normal(size=50000)})
    except NotWritable as error:
        print(error)
    resource.setrlimit
    print(store.open()["losses/step"].values.tolist(), writer.measured, store.verify())
    writer.write(2, "h2", {"x": np.zeros(50000)})
    print(store.open()["losses/step"].values.tolist(), store.verify())
"""
    if sys.platform == "win32":
        return
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "s.zarr")], capture_output=True, text=True, check=True
    )
    message, then, after = done.stdout.splitlines()
    assert "not written" in message
    assert "free some space" in message
    assert then == "[1] {1: 'h1'} []"
    assert after == "[1, 2] []"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with Store(tmp_path / "file" / "s.zarr", mode="a") as store, pytest.raises(NotWritable) as error:
        open_writer(store)
    one_line(error, "cannot write here", "another folder")


def test_a_store_opened_for_reading_does_not_write(tmp_path: Path):
    with Store(filled(tmp_path / "s.zarr", [1])) as store, pytest.raises(NotWritable) as error:
        open_writer(store)
    one_line(error, "mode='a'")


def test_missing_store_and_wrong_mode_are_named(tmp_path: Path):
    with pytest.raises(RunNotFound) as error:
        Store(tmp_path / "none.zarr")
    one_line(error, "none.zarr", "devexplore measure")
    with pytest.raises(InvalidSpec, match=r"mode must be 'r' .* or 'a' .*, got 'w'"):
        Store(tmp_path, mode="w")


def test_a_folder_of_something_else_is_no_store(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    with Store(tmp_path) as store, pytest.raises(SchemaError) as error:
        store.open()
    one_line(error, "no Zarr 3 store")


def test_packing_is_deterministic_and_changes_no_number(tmp_path: Path):
    path = filled(tmp_path / "s.zarr", [20, 10])
    pack(path, tmp_path / "a.zip")
    for file in path.rglob("*"):
        os.utime(file, (10**9, 10**9))
    (path / "losses" / "x.abc.partial").write_text("left by a killed writer")
    pack(path, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with Store(path) as loose, Store(tmp_path / "a.zip") as packed:
        xr.testing.assert_identical(loose.open()["losses"].to_dataset(), packed.open()["losses"].to_dataset())
        assert packed.verify() == []


def test_writing_to_a_packed_store_names_the_command_that_unpacks_it(tmp_path: Path):
    path = filled(tmp_path / "s.zarr", [1])
    pack(path, tmp_path / "p.zarr.zip")
    with pytest.raises(NotWritable) as error:
        Store(tmp_path / "p.zarr.zip", mode="a")
    one_line(error, f"python -m zipfile -e {tmp_path / 'p.zarr.zip'} {tmp_path / 'p.zarr'}")
    command = [sys.executable, "-m", "zipfile", "-e", str(tmp_path / "p.zarr.zip"), str(tmp_path / "p.zarr")]
    subprocess.run(command, check=True)
    filled(tmp_path / "p.zarr", [2])
    with Store(tmp_path / "p.zarr") as store:
        np.testing.assert_array_equal(store.open()["losses/step"], [1, 2])


def test_only_stores_can_be_packed(tmp_path: Path):
    with pytest.raises(RunNotFound, match="no store here to pack"):
        pack(tmp_path, tmp_path / "x.zip")
    assert not zipfile.is_zipfile(tmp_path / "x.zip")


def test_a_store_behind_a_url_opens_read_only(tmp_path: Path):
    path = filled(tmp_path / "s.zarr", [20, 10])
    memory = fsspec.filesystem("memory")
    memory.put(str(path), "/bucket/s.zarr", recursive=True)
    for url in (path.as_uri(), "memory://bucket/s.zarr"):
        with Store(url) as remote, Store(path) as local:
            xr.testing.assert_identical(
                remote.open()["losses"].to_dataset(), local.open()["losses"].to_dataset()
            )
            assert remote.verify() == []
        with pytest.raises(NotWritable) as error:
            Store(url, mode="a")
        one_line(error, "read-only", "copy the run")
    memory.rm("/bucket", recursive=True)


def test_a_url_of_an_unknown_kind_is_named():
    with pytest.raises((RunNotFound, MissingExtra)) as error:
        Store("nosuchthing://bucket/run")
    one_line(error, "nosuchthing://bucket/run")


def test_a_group_without_a_block_takes_other_settings_and_one_with_a_block_does_not(tmp_path: Path):
    """A first try that was stopped before its first block must not pin the run to its settings."""
    other = {**SPEC, "another": 1}
    with Store(tmp_path / "store", mode="a") as store:
        open_writer(store)
        open_writer(store, spec=other).write(1, "hash1", block(1))
        assert open_writer(store, spec=other).measured == {1: "hash1"}
        with pytest.raises(StoreConflict):
            open_writer(store)
