"""A kept Gram matrix of another version is computed again."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest

from devexplore.analysis.gram_cache import kept_products

GRAM = np.array([[0.0, 0, 0], [0, 2, 1], [0, 1, 3]])


def saved(**arrays: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"junk",
        saved(other=np.ones(3)),
        saved(names=np.array(["a", "b"]), products=GRAM),
        saved(names=np.array([], dtype=str), products=GRAM[:0, :0]),
    ],
    ids=["empty", "junk", "other names", "too few names", "nothing"],
)
def test_a_whole_file_of_another_version_is_computed_again_and_replaced(
    tmp_path: Path, payload: bytes
) -> None:
    file = tmp_path / "kept.gram"
    file.write_bytes(hashlib.sha256(payload).digest() + payload)
    asked = []

    def products(reference: int, rows: np.ndarray | None) -> np.ndarray:
        asked.append((reference, rows))
        return GRAM

    np.testing.assert_array_equal(kept_products(file, ["a", "b", "c"], products), GRAM)
    assert asked == [(0, None)]
    np.testing.assert_array_equal(kept_products(file, ["a", "b", "c"], products), GRAM)
    assert len(asked) == 1
