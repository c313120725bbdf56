"""A damaged file is named in one line, costs the blocks it belongs to, and nothing else."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from devexplore.errors import DamagedStore, NotWritable
from devexplore.store import Store, Variable, pack, provenance

from .breaks import empty, flip_a_bit, remove, truncate

STEPS = list(range(0, 660, 10))  # more than share one file
LAYOUT = {
    "token_loss": Variable(("sequence", "position"), (30, 40), np.float32),
    "test_loss": Variable((), (), np.float64),
    "text": Variable((), (), str),
}


def block(step: int):
    loss = np.random.default_rng(step).normal(size=(30, 40)).astype(np.float32)
    return {"token_loss": loss, "test_loss": loss.mean(), "text": f"t{step}"}


def measure(path: Path) -> list[int]:
    """Measure what is not measured yet; the steps that were."""
    done = []
    with Store(path, mode="a") as store:
        store.put("probe", {"token_id": (("position",), np.arange(40))}, {}, {})
        for group in ("losses", "outputs/logits"):
            writer = store.writer(group, {"a": 1}, LAYOUT, {"position": np.arange(40)}, {}, provenance(0, {}))
            for step in STEPS if group == "losses" else STEPS[:3]:
                if step not in writer.measured:
                    writer.write(step, f"h{step}", block(step))
                    done.append(step)
    return done


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "run" / "measurements.zarr"
    measure(path)
    (path.parent / "run.json").write_text("{}")
    return path


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole.parent, tmp_path / "run")
    return tmp_path / "run" / "measurements.zarr"


BREAKS = [truncate, empty, flip_a_bit, remove]


def read_all(path: Path) -> None:
    with Store(path) as store:
        for node in store.open().subtree:
            node.load()


@pytest.mark.parametrize("harm", BREAKS)
def test_reading_a_damaged_block_names_file_and_remedy(path: Path, harm):
    harm(path / "losses/token_loss/c/3/0/0")
    with Store(path) as store:
        losses = store.open()["losses"].to_dataset()
        losses.test_loss.load()
        losses.token_loss.sel(step=slice(0, 20)).load()  # what is whole stays readable
        for use in (
            lambda: losses.token_loss.values,
            lambda: losses.token_loss.sel(step=30).load(),
            lambda: losses.token_loss.mean(),
            lambda: losses.load(),
        ):
            with pytest.raises(DamagedStore) as error:
                use()
            message = str(error.value)
            assert "\n" not in message
            assert f"{path}/losses/token_loss/c/3/0/0: " in message
            assert (
                f"`devexplore check {path.parent} --repair`, then `devexplore measure {path.parent}`"
                in message
            )


@pytest.mark.parametrize(
    ("file", "lost", "harm"),
    [
        *(("losses/token_loss/c/3/0/0", [30], harm) for harm in BREAKS),
        *(("losses/test_loss/c/1", STEPS[64:], harm) for harm in BREAKS),
        *(("losses/measured/c/1", STEPS[64:], harm) for harm in BREAKS),
        ("losses/text/c/1", STEPS[64:], flip_a_bit),
        ("losses/step/c/1", STEPS[64:], truncate),
        ("losses/content_hash/c/0", STEPS[:64], truncate),
        ("outputs/logits/token_loss/c/2/0/0", [20], remove),
    ],
)
def test_repair_gives_up_the_blocks_of_a_damaged_file_and_nothing_else(
    path: Path, whole: Path, file, lost, harm
):
    group = file.rsplit("/c/", 1)[0].rpartition("/")[0]
    harm(path / file)
    flags_lost = (
        "measured" in file and harm is remove
    )  # reads as: not measured, which is what repair makes of it
    with Store(path, mode="a") as store:
        assert [name for name in store.verify() if file in name] == ([] if flags_lost else store.verify())
        assert flags_lost or len(store.verify()) == 1
        repairs = store.repair()
        assert [repair.group for repair in repairs] == ([] if flags_lost else [group])
        if not flags_lost and "/step/" not in file:
            assert list(repairs[0].steps) == lost
        assert store.verify() == []
        assert store.repair() == []
        kept = store.open()[group].to_dataset()
        np.testing.assert_array_equal(
            kept.step, sorted(set(STEPS if group == "losses" else STEPS[:3]) - set(lost))
        )
    assert measure(path) == lost
    with Store(path) as found, Store(whole) as expected:
        assert found.verify() == []
        for name in ("losses", "outputs/logits", "probe"):
            xr.testing.assert_equal(found.open()[name].to_dataset(), expected.open()[name].to_dataset())


@pytest.mark.parametrize(
    ("file", "moved", "harm"),
    [
        ("probe/token_id/c/0", True, flip_a_bit),
        ("probe/token_id/c/0", True, remove),
        ("outputs/logits/position/c/0", True, truncate),
        ("outputs/logits/test_loss/zarr.json", True, truncate),
        ("outputs/logits/test_loss/zarr.json", True, remove),
        ("outputs/logits/zarr.json", True, empty),
        ("outputs/zarr.json", False, truncate),
        ("outputs/zarr.json", False, remove),
        ("zarr.json", False, truncate),
        ("zarr.json", False, remove),
    ],
)
def test_damage_that_concerns_a_whole_group_sets_that_group_aside(path: Path, whole: Path, file, moved, harm):
    harm(path / file)
    with pytest.raises(DamagedStore) as error:
        read_all(path)
    assert f"{path}/{file}: " in str(error.value)
    with Store(path, mode="a") as store:
        repairs = store.repair()
        assert len(repairs) == 1
        assert (repairs[0].moved_to is not None) == moved
        assert not moved or any(repairs[0].moved_to.iterdir())
        assert store.verify() == []
    assert measure(path) == (STEPS[:3] if file.startswith("outputs/logits") else [])
    with Store(path) as found, Store(whole) as expected:
        for name in ("losses", "outputs/logits", "probe"):
            xr.testing.assert_equal(found.open()[name].to_dataset(), expected.open()[name].to_dataset())


LARGE = Variable(("sequence", "vocab"), (6, 100_000), np.float32)
"""2.4 MB at each step: three files."""


@pytest.mark.parametrize("chunk", range(3))
def test_every_part_of_a_checkpoint_that_is_in_several_files_is_missed(tmp_path: Path, chunk: int):
    path, values = tmp_path / "large.zarr", np.ones(LARGE.shape, np.float32)

    def write() -> dict[int, str]:
        with Store(path, mode="a") as store:
            writer = store.writer("outputs/logits", {}, {"output": LARGE}, {}, {}, provenance(0, {}))
            before = writer.measured
            for step in (0, 10):
                writer.write(step, "h", {"output": values * step})
        return before

    write()
    file = f"outputs/logits/output/c/1/{chunk}/0"
    (path / file).unlink()
    with Store(path, mode="a") as store:
        assert store.verify() == [f"{path}/{file}: this file is missing"]
        (repair,) = store.repair()
        assert (repair.files, repair.steps) == ((file,), (10,))
        assert store.verify() == []
    assert write() == {0: "h"}
    with Store(path) as store:
        assert store.verify() == []
        assert (store.open()["outputs/logits/output"].sel(step=10) == 10).all()


def shape(*sizes: int):
    return lambda metadata: metadata.update(shape=sizes)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (shape(10, 30, 40), "says that there are 10 steps, where `measured` has 66"),
        (shape(66, 30, 39), "says that position is 39 long, where losses/position has 40"),
        (lambda metadata: metadata.pop("shape"), "shape"),
        (lambda metadata: metadata.update(dimension_names=None), "names no dimensions"),
    ],
)
def test_metadata_that_can_be_read_but_not_be_true_are_damage(path: Path, whole: Path, edit, says: str):
    file = path / "losses/token_loss/zarr.json"
    metadata = json.loads(file.read_text())
    edit(metadata)
    file.write_text(json.dumps(metadata))
    with pytest.raises(DamagedStore) as error:
        read_all(path)
    assert f"{file}: " in str(error.value)
    with Store(path, mode="a") as store:
        (found,) = store.verify()
        assert found.startswith(f"{file}: ")
        assert says in found
        assert [repair.group for repair in store.repair()] == ["losses"]
        assert store.verify() == []
    assert measure(path) == STEPS
    with Store(path) as found, Store(whole) as expected:
        xr.testing.assert_equal(found.open()["losses"].to_dataset(), expected.open()["losses"].to_dataset())


def test_flags_of_too_few_steps_do_not_hide_the_others(path: Path):
    file = path / "losses/measured/zarr.json"
    file.write_text(file.read_text().replace("66", "10"))
    with Store(path) as store:
        found = store.verify()
    assert len(found) == 5
    assert all("66 steps, where `measured` has 10" in text for text in found)


def test_what_a_kill_leaves_longer_by_one_is_whole(path: Path):
    with Store(path, mode="a") as store:
        writer = store.writer("losses", {"a": 1}, LAYOUT, {"position": np.arange(40)}, {}, provenance(0, {}))
        array = writer._on_steps["token_loss"]
        array.resize((len(STEPS) + 1, 30, 40))
        assert store.verify() == []
        assert store.open()["losses"].sizes["step"] == len(STEPS)


def test_a_whole_store_verifies(path: Path):
    with Store(path) as store:
        assert store.verify() == []


def test_writing_beside_a_damaged_file_is_refused(path: Path):
    truncate(path / "losses/step/c/1")
    with Store(path, mode="a") as store, pytest.raises(DamagedStore) as error:
        store.writer("losses", {"a": 1}, LAYOUT, {"position": np.arange(40)}, {}, provenance(0, {}))
    assert "losses/step/c/1" in str(error.value)


def test_a_truncated_archive_is_named(path: Path, tmp_path: Path):
    pack(path, tmp_path / "p.zarr.zip")
    truncate(tmp_path / "p.zarr.zip")
    with pytest.raises(DamagedStore) as error:
        Store(tmp_path / "p.zarr.zip")
    assert "p.zarr.zip" in str(error.value)
    assert "copy it again" in str(error.value)


def test_a_corrupted_archive_names_the_file_in_it(path: Path, tmp_path: Path):
    pack(path, tmp_path / "p.zarr.zip")
    chunk = (path / "losses/token_loss/c/3/0/0").read_bytes()
    content = bytearray((tmp_path / "p.zarr.zip").read_bytes())
    content[content.index(chunk) + len(chunk) // 2] ^= 1
    (tmp_path / "p.zarr.zip").write_bytes(bytes(content))
    with Store(tmp_path / "p.zarr.zip") as store:
        assert len(store.verify()) == 1
        with pytest.raises(DamagedStore) as error:
            store.open()["losses/token_loss"].load()
    assert "losses/token_loss/c/3/0/0" in str(error.value)
    assert "copy the run again" in str(error.value)
    with pytest.raises(NotWritable):
        Store(tmp_path / "p.zarr.zip", mode="a")
