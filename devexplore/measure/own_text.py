"""Losses of any text that a user types or loads, token by token, at every checkpoint of a language run."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import xarray as xr

from devexplore.arguments import require_run
from devexplore.checks import whole_number
from devexplore.errors import InvalidSpec
from devexplore.measure.pipeline import Progress
from devexplore.measure.prompts import Prompt, padded, token_rows
from devexplore.measure.subject import Subject
from devexplore.paths import as_path, is_there
from devexplore.run import Run
from devexplore.schema import STEP
from devexplore.stats.token_classes import PADDING
from devexplore.systems.base import in_parts
from devexplore.systems.corpus import token_texts


class _Window(NamedTuple):
    """One context's worth of a text."""

    text: int
    start: int
    """Its first token's place in the text."""
    counted_from: int
    """The first position whose loss is counted here; those before are only read."""
    ids: list[int]


def token_losses(
    run: Run,
    text: Prompt | os.PathLike[str],
    *,
    overlap: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Loss of every token of a text at every checkpoint, by forward passes of the checkpoints themselves.

    Laid out as the groups ``losses`` and ``probe`` of a run together, so ``loss_change``, ``most_changed``,
    ``loss_history`` and ``when_learned`` take it in place of a run.

    A text longer than the context is read in windows of one context each, which overlap: a token's loss is
    counted in the first window that reaches it, so that, after the first window, each is predicted from at
    least ``overlap`` tokens before it. The last window ends with the text. The text is taken as it is: no
    opening token is put in front. The first token of a text is predicted by nothing and has no loss.

    Args:
        text: text; several texts; token ids; or the path (``pathlib.Path``) of a UTF-8 file (a byte order
            mark at its beginning is not read).
        overlap: tokens that a window shares with the one before; default half of the context.
        progress: told (checkpoints done, checkpoints in all, what) after each checkpoint.

    Returns:
        token_loss (step, sequence, position), nats, of predicting token p + 1 of the window from its tokens
        0 … p; NaN where the position is counted in an earlier window, or lies beyond the end of a text.
        token_text, token_id (the token read), target_text, target_id (the token predicted), each (sequence,
        position); −1 and "" beyond the end. Coordinates ``text`` (which text) and ``first_token`` (where the
        window starts in it) of ``sequence``.

    Raises:
        InvalidSpec: for a run that reads no text; an empty text, or one of a single token; token ids that the
            vocabulary has not; what is none of these; an overlap that leaves no new token; a file that is
            not there, cannot be read or is no UTF-8 text.
        CheckpointNotFound: for a run that was shipped without checkpoints.

    Nothing is kept: the same text costs the same again.
    """
    require_run(run)
    if run.system != "language":
        raise InvalidSpec(f"a {run.system} run reads no text; its losses are in run.dataset('losses')")
    checkpoints = run.checkpoints  # a run without them says so before any text is cut
    subject = Subject(run, torch.device("cpu"))
    system: Any = subject.system
    context = system.spec.context
    shared = context // 2 if overlap is None else whole_number("overlap", overlap)
    if not 0 <= shared < context:
        raise InvalidSpec(f"overlap must be 0 … {context - 1} (the context less one), got {shared}")
    windows = _windows(token_rows(system, _read(text)), context, shared)
    ids = padded([window.ids for window in windows])
    tokens = torch.from_numpy(np.where(ids == PADDING, 0, ids))  # causal: what is behind changes nothing
    counted = _counted(windows, ids)
    losses = np.full((len(checkpoints.steps), *counted.shape), np.nan, dtype=np.float32)
    for row, step in enumerate(checkpoints.steps):
        model = subject.load(int(step))
        with torch.no_grad():
            parts = [system.position_loss(model, part) for part in in_parts((tokens,), system.eval_batch)]
        losses[row, counted] = torch.cat(parts).numpy()[counted]
        if progress is not None:
            progress(row + 1, len(losses), "losses of the text")
    words = np.array([*token_texts(system.tokenizer), ""], dtype=object)  # the last stands for PADDING
    place = ("sequence", "position")
    return xr.Dataset(
        {
            "token_loss": (
                (STEP, *place),
                losses,
                {"units": system.loss_units, "long_name": "loss of each prediction on the text"},
            ),
            "token_id": (place, ids[:, :-1], {"long_name": "token"}),
            "token_text": (place, words[ids[:, :-1]], {"long_name": "token as text"}),
            "target_id": (place, ids[:, 1:], {"long_name": "next token"}),
            "target_text": (place, words[ids[:, 1:]], {"long_name": "next token as text"}),
        },
        coords={
            STEP: np.array(checkpoints.steps),
            "sequence": np.arange(len(ids)),
            "position": np.arange(ids.shape[1] - 1),
            "text": ("sequence", [window.text for window in windows]),
            "first_token": ("sequence", [window.start for window in windows]),
        },
        attrs={
            "run": run.name,
            "system": run.system,
            "overlap": shared,
            "trivial_loss": system.trivial_loss,
            "sequence_name": "window",
            "position_name": "position",
        },
    )


def _read(text: Prompt | os.PathLike[str]) -> Prompt:
    if not isinstance(text, os.PathLike):
        return text
    file = as_path(text, "a text file")
    if not is_there(file):
        raise InvalidSpec(
            f"{file}: expected a text file, got nothing; to measure a text itself, give it as str"
        )
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"{file}: expected a UTF-8 text file, got other bytes ({error})") from error
    except OSError as error:  # a folder, or one that may not be read
        raise InvalidSpec(f"{file}: expected a text file that can be read ({error.strerror})") from error


def _windows(rows: Sequence[list[int]], context: int, overlap: int) -> list[_Window]:
    """Contexts (and the target of their last token) over each text, each prediction counted once."""
    windows = []
    for text, row in enumerate(rows):
        predictions = len(row) - 1
        if predictions < 1:
            raise InvalidSpec(
                f"expected text of at least two tokens (the first is predicted by nothing), got one token"
                f"{f' in text {text}' if len(rows) > 1 else ''}; type more"
            )
        last_start = max(0, predictions - context)
        counted = 0
        for start in [*range(0, last_start, context - overlap), last_start]:
            windows.append(_Window(text, start, counted - start, row[start : start + context + 1]))
            counted = start + context
    return windows


def _counted(windows: Sequence[_Window], ids: np.ndarray) -> np.ndarray:
    """Which positions (sequence, position) have a loss of their own."""
    position = np.arange(ids.shape[1] - 1)
    from_here = np.array([window.counted_from for window in windows])
    return (position >= from_here[:, None]) & (ids[:, 1:] != PADDING)
