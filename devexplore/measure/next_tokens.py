"""What single checkpoints expect next after some text: their most probable tokens, and the true one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from devexplore.arguments import require_run
from devexplore.checks import whole_number
from devexplore.errors import InvalidSpec
from devexplore.measure.prompts import padded, token_rows
from devexplore.measure.subject import Subject
from devexplore.run import Run
from devexplore.schema import STEP
from devexplore.systems.corpus import token_texts


def next_tokens(
    run: Run, ids: Sequence[int], steps: Sequence[int], true_id: int, top_k: int = 5
) -> xr.Dataset:
    """The ``top_k`` tokens that each of these checkpoints finds most probable after the tokens ``ids``.

    Returns:
        top_text, top_id, top_probability (step, rank), most probable first; true_probability and true_rank
        (step), those of the token ``true_id`` that did come (rank 1: the most probable).

    Raises:
        InvalidSpec: for a run that reads no text, no ids, more than the network reads, ids that the
            vocabulary has not, or a step that has no checkpoint.
        CheckpointNotFound: for a run that was shipped without checkpoints.
    """
    require_run(run)
    if run.system != "language":
        raise InvalidSpec(f"a {run.system} run reads no text and predicts no tokens")
    held = set(run.checkpoints.steps)
    lacking = [step for step in steps if step not in held]
    if lacking:
        raise InvalidSpec(f"no checkpoint at step {lacking[0]:,}")
    subject = Subject(run, torch.device("cpu"))
    system: Any = subject.system
    read = padded(token_rows(system, [int(token) for token in ids]))
    if read.shape[1] > system.spec.context:
        raise InvalidSpec(f"this network reads at most {system.spec.context} tokens, got {read.shape[1]}")
    count = min(whole_number("top_k", top_k, 1), system.spec.vocabulary)
    logits = []
    for step in steps:
        with torch.no_grad():
            logits.append(subject.load(int(step))(torch.from_numpy(read))[0, -1].double())
    probability = torch.stack(logits).softmax(dim=-1).numpy()
    top = np.argsort(-probability, axis=1, kind="stable")[:, :count]
    words = np.array(token_texts(system.tokenizer), dtype=object)
    true = probability[:, true_id]
    return xr.Dataset(
        {
            "top_id": ((STEP, "rank"), top),
            "top_text": ((STEP, "rank"), words[top]),
            "top_probability": ((STEP, "rank"), np.take_along_axis(probability, top, axis=1)),
            "true_probability": (STEP, true),
            "true_rank": (STEP, 1 + (probability > true[:, None]).sum(axis=1)),
        },
        coords={STEP: np.array(steps), "rank": np.arange(1, count + 1)},
        attrs={"true_id": int(true_id), "true_text": str(words[true_id])},
    )
