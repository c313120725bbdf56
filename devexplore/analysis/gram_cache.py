"""Gram matrices that took a while are kept, and grow by the products of new checkpoints alone."""

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Products = Callable[[int, Int[np.ndarray, " row"] | None], Float[np.ndarray, "row step"]]
"""(reference, rows) → inner products about the reference of these rows (None: all) with all checkpoints."""

_DIGEST = hashlib.sha256().digest_size


class _Kept(NamedTuple):
    """``products`` (step, step) of checkpoints ``names`` about the first of them."""

    names: list[str]
    products: np.ndarray


def kept_products(file: Path, names: Sequence[str], products: Products) -> Float[np.ndarray, "step step"]:
    """Inner products of the checkpoints ``names`` about one of them, from ``file`` as far as they are there.

    What is missing is computed and kept: new checkpoints with all, or everything if half of it is new or the
    reference has gone. ``names`` must name the weights (content hashes). A file that is damaged, or cannot be
    written, costs nothing but time.
    """
    kept = _read(file)
    place = {name: row for row, name in enumerate(names)}
    old = [name for name in kept.names if name in place] if kept is not None else []
    known = set(old)
    new = np.array([row for row, name in enumerate(names) if name not in known], dtype=int)
    if kept is None or kept.names[0] not in place or 2 * len(new) >= len(names):
        found = products(0, None)
        _write(file, _Kept(list(names), found))
        return found
    rows = np.array([place[name] for name in old])
    row_of = {name: row for row, name in enumerate(kept.names)}
    chosen = np.array([row_of[name] for name in old])
    found = np.empty((len(names), len(names)))
    found[np.ix_(rows, rows)] = kept.products[np.ix_(chosen, chosen)]
    if len(new) > 0:
        found[new] = products(int(rows[0]), new)
        found[:, new] = found[new].T
        order = np.concatenate([rows, new])
        _write(file, _Kept([names[int(row)] for row in order], found[np.ix_(order, order)]))
    return found


def _read(file: Path) -> _Kept | None:
    """None if there is no whole file: its beginning is the digest of the rest."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    digest, payload = content[:_DIGEST], content[_DIGEST:]
    if hashlib.sha256(payload).digest() != digest:
        return None
    try:
        with np.load(io.BytesIO(payload)) as arrays:
            kept = _Kept(arrays["names"].tolist(), arrays["products"])
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # whole, but of another version
    count = len(kept.names)
    return kept if count > 0 and kept.products.shape == (count, count) else None


def _write(file: Path, kept: _Kept) -> None:
    payload = io.BytesIO()
    np.savez(payload, names=np.array(kept.names), products=kept.products)
    content = payload.getvalue()
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(hashlib.sha256(content).digest() + content)
        partial.replace(file)
    except OSError:
        return  # a read-only or full cache: the next call computes it again
