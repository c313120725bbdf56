"""A folder of checkpoints gives back what was saved, and says in one line what is wrong with it."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from devexplore.checkpoints import LocalCheckpoints, load_into, save_checkpoint
from devexplore.errors import (
    CheckpointMismatch,
    CheckpointNotFound,
    DamagedCheckpoint,
    DevexploreError,
    NonFiniteWeights,
    NotWritable,
    SchemaError,
    UntrustedCheckpoint,
)

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "bias": torch.tensor([0.5, -0.25]),
    "count": torch.tensor(7),
}


def one_line(error: pytest.ExceptionInfo[DevexploreError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for step in (300, 0, 20):
        save_checkpoint(tmp_path / f"step_{step:08d}.safetensors", TENSORS, torch.float16)
    return tmp_path


def test_what_was_saved_is_loaded_as_float32_in_order_of_steps(folder: Path):
    checkpoints = LocalCheckpoints(folder)
    assert checkpoints.steps.dtype == np.int64
    np.testing.assert_array_equal(checkpoints.steps, [0, 20, 300])
    loaded = checkpoints.load(20)
    assert loaded.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=0)
    assert loaded["weight"].dtype == torch.float32
    assert loaded["count"].dtype == torch.int64


@given(
    values=st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), max_size=20),
    dtype=st.sampled_from([torch.float16, torch.float32, torch.float64]),
)
def test_saving_what_the_dtype_can_hold_loses_nothing(tmp_path_factory, values, dtype):
    path = tmp_path_factory.mktemp("checkpoint") / "step_1.safetensors"
    save_checkpoint(path, {"w": torch.tensor(values)}, dtype)
    torch.testing.assert_close(
        LocalCheckpoints(path.parent).load(1)["w"], torch.tensor(values), rtol=0, atol=0
    )


def test_equal_weights_have_equal_hashes_and_other_weights_another(folder: Path):
    checkpoints = LocalCheckpoints(folder)
    assert checkpoints.content_hash(0) == checkpoints.content_hash(300)
    assert len(checkpoints.content_hash(0)) == 16
    save_checkpoint(checkpoints.path(0), {**TENSORS, "bias": torch.zeros(2)}, torch.float16)
    assert checkpoints.content_hash(0) != checkpoints.content_hash(300)


def test_tied_and_transposed_tensors_are_saved_whole(tmp_path: Path):
    weight = torch.arange(6.0).reshape(2, 3)
    save_checkpoint(tmp_path / "step_1.safetensors", {"a": weight, "b": weight, "t": weight.T})
    loaded = LocalCheckpoints(tmp_path).load(1)
    torch.testing.assert_close(loaded["b"], weight)
    torch.testing.assert_close(loaded["t"], weight.T)


def test_saving_leaves_no_temporary_file(folder: Path):
    assert sorted(p.suffix for p in folder.iterdir()) == [".safetensors"] * 3


def test_leftovers_of_a_killed_save_are_no_checkpoints(folder: Path):
    (folder / ".step_00000400.safetensors.123.partial").write_bytes(b"half")
    assert 400 not in LocalCheckpoints(folder).steps


def test_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(CheckpointNotFound) as error:
        LocalCheckpoints(tmp_path / "nowhere")
    one_line(error, "nowhere", "give the one that holds")


def test_folder_without_checkpoints_says_what_was_expected(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("step 1")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointNotFound) as error:
        LocalCheckpoints(tmp_path)
    one_line(error, str(tmp_path), "step_100.safetensors")


def test_missing_step_names_the_nearest(folder: Path):
    with pytest.raises(CheckpointNotFound) as error:
        LocalCheckpoints(folder).load(290)
    one_line(error, "step 290", "step 300")


def test_two_files_for_one_step_are_refused(folder: Path):
    save_checkpoint(folder / "other_20.safetensors", TENSORS)
    with pytest.raises(SchemaError) as error:
        LocalCheckpoints(folder)
    one_line(error, "other_20.safetensors", "step_00000020.safetensors")


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_truncated_safetensors_is_damaged_at_any_length(folder: Path, keep: int):
    path = LocalCheckpoints(folder).path(20)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DamagedCheckpoint) as error:
        LocalCheckpoints(folder).load(20)
    one_line(error, str(path), "copy or train it again")


class _Trap:
    """Unpickling this creates a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".pkl", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("save", [pickle.dump, torch.save])
def test_pickles_that_want_to_run_code_are_never_executed(tmp_path: Path, suffix: str, save):
    trap = tmp_path / "sprung"
    checkpoint = tmp_path / f"step_1{suffix}"
    with checkpoint.open("wb") as file:
        save({"w": _Trap(trap)}, file)
    with pytest.raises(UntrustedCheckpoint) as error:
        LocalCheckpoints(tmp_path).load(1)
    one_line(error, str(checkpoint), "safetensors.torch.save_file")
    assert not trap.exists()


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: {"state_dict": t, "epoch": 3}])
def test_torch_pickles_of_plain_tensors_are_read(tmp_path: Path, wrap):
    torch.save(wrap(TENSORS), tmp_path / "model-5.pt")
    torch.testing.assert_close(LocalCheckpoints(tmp_path).load(5)["weight"], TENSORS["weight"])


def test_torch_pickle_of_something_else_is_refused(tmp_path: Path):
    torch.save({"lr": 0.1}, tmp_path / "model-5.pt")
    with pytest.raises(UntrustedCheckpoint) as error:
        LocalCheckpoints(tmp_path).load(5)
    one_line(error, "no dictionary of tensors")


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_truncated_torch_file_is_refused_in_one_line(tmp_path: Path, keep: int):
    path = tmp_path / "model-5.pt"
    torch.save(TENSORS, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises((DamagedCheckpoint, UntrustedCheckpoint)) as error:
        LocalCheckpoints(tmp_path).load(5)
    one_line(error, str(path))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_weights_name_tensor_and_step(tmp_path: Path, bad: float):
    from safetensors.torch import save_file

    save_file({"fine": torch.ones(2), "layer.w": torch.tensor([1.0, bad])}, tmp_path / "step_40.safetensors")
    with pytest.raises(NonFiniteWeights) as error:
        LocalCheckpoints(tmp_path).load(40)
    one_line(error, "step_40.safetensors", "step 40", "'layer.w'", "1 of 2")


def test_weights_that_overflow_float16_are_not_saved_as_infinity(tmp_path: Path):
    with pytest.raises(NonFiniteWeights) as error:
        save_checkpoint(tmp_path / "step_1.safetensors", {"w": torch.tensor([1e6])}, torch.float16)
    one_line(error, "'w'", "float32")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritable) as error:
        save_checkpoint(tmp_path / "file" / "step_1.safetensors", TENSORS)
    one_line(error, "step_1.safetensors", "choose another folder")


def test_load_into_copies_every_parameter():
    model, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    load_into(model, other.state_dict(), "memory")
    torch.testing.assert_close(model.weight, other.weight)


def test_load_into_names_missing_extra_and_wrongly_shaped_tensors_and_copies_nothing():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1))
    before = model[0].bias.detach().clone()
    tensors = {
        "0.weight": torch.zeros(2, 4),
        "0.bias": torch.ones(2),
        "1.weight": torch.ones(1, 2),
        "head": torch.ones(1),
    }
    with pytest.raises(CheckpointMismatch) as error:
        load_into(model, tensors, "step_7.safetensors")
    one_line(
        error,
        "step_7.safetensors",
        "1 missing (1.bias)",
        "(head)",
        "0.weight (2, 4), model (2, 3)",
        "run.json",
    )
    torch.testing.assert_close(model[0].bias, before)


def test_load_into_refuses_nan():
    model = torch.nn.Linear(1, 1)
    with pytest.raises(NonFiniteWeights) as error:
        load_into(model, {"weight": torch.tensor([[float("nan")]]), "bias": torch.zeros(1)}, "step 3")
    one_line(error, "step 3", "'weight'")


def test_listing_and_hashing_need_no_torch(folder: Path):
    code = (
        "import sys; from devexplore.checkpoints import LocalCheckpoints\n"
        f"c = LocalCheckpoints({str(folder)!r}); c.steps; c.content_hash(0)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_header_whose_length_begins_like_a_pickle_is_still_safetensors(tmp_path: Path):
    folder = tmp_path / "checkpoints"
    for padding in range(400):  # longer names make longer headers, through every first byte
        path = folder / "step_1.safetensors"
        save_checkpoint(path, {"w" * (padding + 1): torch.ones(2)})
        if path.read_bytes()[:1] == b"\x80":
            break
    assert path.read_bytes()[:1] == b"\x80"
    (tensor,) = LocalCheckpoints(folder).load(1).values()
    assert tensor.tolist() == [1.0, 1.0]
