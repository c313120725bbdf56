"""Text is split by whole files, written and read back without loss, and the same text or none."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devexplore import systems
from devexplore.errors import InvalidSpec, MissingExtra, MissingText
from devexplore.systems.corpus import FILE_TOKEN, read_text, token_texts, tokenise, train_tokenizer

PROSE, CODE = "the cat sat on the mat. café über 🙂\n" * 5, "def f(x):\n    return x\n" * 5
TOKENIZER = train_tokenizer((PROSE, CODE), 300)


def test_whole_files_are_held_out_and_every_file_is_in_one_half(text_folder: Path):
    text = read_text(f"folder:{text_folder}")
    files = {path.read_text(encoding="utf-8") for path in text_folder.iterdir()}
    assert set(text.train) | set(text.held_out) == files
    assert set(text.train) & set(text.held_out) == set()
    assert (len(text.train), len(text.held_out)) == (38, 2)


def test_no_held_out_file_is_in_any_training_window(smallest, tmp_path: Path):
    system = systems.from_preset("language", "small", smallest("language", context=64), tmp_path)
    train = system.tokenizer.decode(system.train_tokens.tolist())
    held_out = [text.split(":")[0] for text in system.text.held_out]
    assert len(held_out) == 2
    assert not any(name in train for name in held_out)
    windows = [system.batch(0, step)[0] for step in range(20)] + list(system.pool(64, 0))
    for window in windows:
        for row in window.tolist():
            assert not any(name in system.tokenizer.decode(row) for name in held_out)


def test_the_probe_and_the_held_out_pool_come_from_held_out_files(smallest, tmp_path: Path):
    system = systems.from_preset("language", "small", smallest("language", context=16), tmp_path)
    held_out = system.tokenizer.decode(system.held_out_tokens.tolist(), skip_special_tokens=False)
    for rows in (system.probe(0).batch[0][:8], system.pool(8, 0, held_out=True)[0]):
        for row in rows.tolist():
            window = system.tokenizer.decode(row, skip_special_tokens=False).strip("�")
            assert window in held_out


@given(st.text())
def test_every_text_survives_the_tokenizer(text: str):
    encoded = TOKENIZER.encode(text)
    assert TOKENIZER.decode(encoded.ids, skip_special_tokens=False) == text


def test_every_file_opens_with_the_file_token_and_texts_read_as_written():
    texts = ("naïve 猫 🙂\n", "b")
    stream = tokenise(TOKENIZER, texts)
    opening = TOKENIZER.token_to_id(FILE_TOKEN)
    starts = np.flatnonzero(stream == opening)
    assert len(starts) == 2
    assert starts[0] == 0
    assert TOKENIZER.decode(stream[1 : starts[1]].tolist()) == texts[0]
    names = token_texts(TOKENIZER)
    assert names[opening] == FILE_TOKEN
    assert names[TOKENIZER.token_to_id("a")] == "a"
    assert len(names) == TOKENIZER.get_vocab_size() <= 300


def test_the_same_text_gives_the_same_tokenizer():
    texts = tuple(f"some words, number {n % 7}, again and again\n" * 3 for n in range(30))
    assert train_tokenizer(texts, 320).to_str() == train_tokenizer(texts, 320).to_str()


def test_the_probe_reads_as_its_tokens_and_targets_are_the_next_tokens(smallest, tmp_path: Path):
    system = systems.from_preset("language", "small", smallest("language"), tmp_path)
    variables = system.probe(0).variables
    tokens, targets = variables["token_id"].values, variables["target_id"].values
    np.testing.assert_array_equal(tokens[:, 1:], targets[:, :-1])
    names = np.array(token_texts(system.tokenizer))
    np.testing.assert_array_equal(variables["token_text"].values, names[tokens])
    np.testing.assert_array_equal(variables["target_text"].values, names[targets])


def test_small_folders_still_hold_out_a_file_and_smaller_ones_are_refused(tmp_path: Path):
    (tmp_path / "a.txt").write_text("alpha")
    (tmp_path / "empty.txt").write_text("  \n")
    (tmp_path / "image.png").write_text("no text")
    with pytest.raises(MissingText, match="1 non-empty"):
        read_text(f"folder:{tmp_path}")
    (tmp_path / "b.md").write_text("beta")
    text = read_text(f"folder:{tmp_path}")
    assert (text.train, text.held_out) == (("alpha",), ("beta",))


def test_too_little_text_for_one_window_is_told_with_the_remedy(smallest, tmp_path: Path):
    folder = tmp_path / "little"
    folder.mkdir()
    for name in "ab":
        (folder / f"{name}.txt").write_text("short")
    system = systems.from_preset(
        "language", "small", smallest("language", text=f"folder:{folder}", context=64), tmp_path / "run"
    )
    with pytest.raises(MissingText, match="shorter context"):
        system.batch(0, 0)


@pytest.mark.parametrize("source", ["", "folder:", "folder", "web:page", "hf:", "sympy"])
def test_an_unknown_source_is_refused_naming_the_known_ones(source: str):
    with pytest.raises(InvalidSpec, match="use sympy-tests, folder:PATH or hf:NAME"):
        read_text(source)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(MissingText, match="nowhere"):
        read_text(f"folder:{tmp_path / 'nowhere'}")


def test_the_text_that_a_run_was_trained_on_must_be_the_same(trained_run, smallest, tmp_path: Path):
    path = trained_run("language")
    recipe = json.loads((path / "run.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    for name in "ab":
        (other / f"{name}.txt").write_text("quite another text " * 20)
    recipe["spec"]["text"] = f"folder:{other}"
    with pytest.raises(MissingText, match="checksum") as told:
        systems.from_recipe(recipe, path).batch(0, 0)
    assert "\n" not in str(told.value)


def test_the_checksum_tells_which_half_a_text_is_in(tmp_path: Path):
    for name, text in (("a", "one"), ("b", "two")):
        (tmp_path / f"{name}.txt").write_text(text)
    first = read_text(f"folder:{tmp_path}").checksum
    (tmp_path / "a.txt").rename(tmp_path / "c.txt")
    assert read_text(f"folder:{tmp_path}").checksum != first


@pytest.mark.skipif(find_spec("datasets") is not None, reason="the extra is installed here")
def test_a_hugging_face_source_without_the_extra_gives_the_pip_command():
    with pytest.raises(MissingExtra, match=r"pip install 'devexplore\[datasets\]'"):
        read_text("hf:roneneldan/TinyStories")


def test_the_default_text_is_sympys_test_files():
    text = read_text("sympy-tests", max_files=40)
    assert "sympy" in text.origin
    assert len(text.train) == 38
    assert all("import" in file for file in text.train[:5])
