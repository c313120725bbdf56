"""The verdict on every estimate of a run's LLC, kept beside it for readers of the store.

Some checks look at neighbours along training, so a verdict is said of the whole curve, when a sweep ends.
Views judge anew (it takes a millisecond); this copy serves those who open the store with xarray alone.
"""

from dataclasses import asdict

import numpy as np

from devexplore import schema
from devexplore.sampling.sweep import Setting
from devexplore.sampling.thresholds import Thresholds
from devexplore.sampling.trust import VERDICT_WORDS, judge
from devexplore.store import Store, Variable, provenance
from devexplore.systems import System


def write_verdicts(store: Store, system: System) -> None:
    """Write the group /trust: verdict and reason at every step of /llc, the thresholds as attributes.

    One that was written of fewer checkpoints, or by other thresholds, is replaced.
    """
    tree = store.open()
    llc = tree[schema.LLC].to_dataset().load()
    limits = Thresholds()
    found = judge(
        {str(name): values.values for name, values in llc.data_vars.items()},
        Setting.of_attributes(llc.attrs, system.loss_units),
        limits,
    )
    reasons = ["; ".join(words) for words in found.reasons]
    if f"/{schema.TRUST}" in tree.groups:
        held = tree[schema.TRUST].to_dataset()
        same_steps = np.array_equal(held[schema.STEP], llc[schema.STEP])
        same_limits = all(held.attrs.get(name) == value for name, value in asdict(limits).items())
        if same_steps and same_limits and list(held["reason"].values) == reasons:
            return
        store.discard(schema.TRUST)
    layout = {
        "verdict": Variable(
            (),
            (),
            np.dtype(np.int8),
            {"long_name": ", ".join(f"{code} {word}" for code, word in enumerate(VERDICT_WORDS))},
        ),
        "reason": Variable((), (), str, {"long_name": "why, the gravest first"}),
    }
    writer = store.writer(schema.TRUST, asdict(limits), layout, {}, asdict(limits), provenance(None, {}))
    hashes = dict(zip(llc[schema.STEP].values.tolist(), llc[schema.CONTENT_HASH].values, strict=True))
    for step, verdict, reason in zip(hashes, found.verdict, reasons, strict=True):
        writer.write(step, str(hashes[step]), {"verdict": verdict, "reason": reason})
