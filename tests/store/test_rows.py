"""Many blocks written at once are the same as one by one, and a measured step is never written again."""

from pathlib import Path

import numpy as np
import pytest

from devexplore.errors import InvalidSpec, StoreConflict
from devexplore.store import Store, Variable, provenance

LAYOUT = {"curve": Variable((), (), np.float64), "grid": Variable(("x",), (3,), np.float32)}
STEPS = [7, 0, 200, 3]
HASHES = [f"h{step}" for step in STEPS]
CURVE = np.array([1.0, np.nan, 3.0, 4.0])
GRID = np.arange(12, dtype=np.float32).reshape(4, 3)


def writer(store: Store):
    return store.writer("group", {}, LAYOUT, {"x": np.arange(3)}, {}, provenance(0, {}))


def test_rows_at_once_are_the_blocks_one_by_one(tmp_path: Path) -> None:
    with Store(tmp_path / "rows", mode="a") as store:
        writer(store).write_rows(STEPS, HASHES, {"curve": CURVE, "grid": GRID})
        rows = store.open()["group"].to_dataset().load()
        assert store.verify() == []
    with Store(tmp_path / "blocks", mode="a") as store:
        one = writer(store)
        for i, step in enumerate(STEPS):
            one.write(step, HASHES[i], {"curve": CURVE[i], "grid": GRID[i]})
        assert rows.equals(store.open()["group"].to_dataset().load())


def test_rows_and_blocks_follow_each_other(tmp_path: Path) -> None:
    with Store(tmp_path / "rows", mode="a") as store:
        one = writer(store)
        one.write(50, "h50", {"curve": 9.0, "grid": GRID[0]})
        one.write_rows(STEPS, HASHES, {"curve": CURVE, "grid": GRID})
        one.write(1, "h1", {"curve": 8.0, "grid": GRID[1]})
        assert (
            one.measured
            == writer(store).measured
            == {50: "h50", **dict(zip(STEPS, HASHES, strict=True)), 1: "h1"}
        )
        stored = store.open()["group"].to_dataset()
    assert stored["step"].values.tolist() == [0, 1, 3, 7, 50, 200]
    assert stored["curve"].sel(step=[50, 1, 200]).values.tolist() == [9.0, 8.0, 3.0]


def test_measured_steps_double_steps_and_other_shapes_are_refused_and_nothing_changes(tmp_path: Path) -> None:
    with Store(tmp_path / "rows", mode="a") as store:
        one = writer(store)
        one.write_rows(STEPS, HASHES, {"curve": CURVE, "grid": GRID})
        before = store.open()["group"].to_dataset().load()
        with pytest.raises(StoreConflict, match="step 3 is measured already"):
            one.write_rows([3], ["h"], {"curve": CURVE[:1], "grid": GRID[:1]})
        with pytest.raises(InvalidSpec, match="a step twice"):
            one.write_rows([30, 30], ["h", "h"], {"curve": CURVE[:2], "grid": GRID[:2]})
        with pytest.raises(InvalidSpec, match=r"expected shape \(1, 3\), got \(2, 3\)"):
            one.write_rows([30], ["h"], {"curve": CURVE[:1], "grid": GRID[:2]})
        assert store.open()["group"].to_dataset().load().equals(before)
