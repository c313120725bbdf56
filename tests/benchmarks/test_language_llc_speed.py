"""Chains of a language model, beside devinterp 2.0.1, one thread each side. See ``test_llc_speed``."""

from dataclasses import replace
from itertools import count
from time import process_time

import numpy as np
import pytest

from devexplore.sampling import LLCSpec
from devexplore.sampling.engine import Engine

from .peers import devinterp_language_llc, require_devinterp, token_dataset
from .problems import bundled_subject

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.benchmark(timer=process_time)]

SPEC = LLCSpec(step_size=1e-5, n_beta=1000, localization=3000, batch_size=8, chains=2, draws=60, burn_in=0)


def test_108k_language_model(race, report, tmp_path) -> None:
    """The bundled run's last checkpoint, batches of 8 sequences of 128 tokens, without the passes at w*.

    devinterp keeps the loss of every token of every step on disk, so its time includes that.
    """
    require_devinterp("2.0.1", "benchmark-language")
    problem, system = bundled_subject("language")
    dataset, folders = token_dataset(problem.data[0]), count()
    engine = Engine(*problem, SPEC, look_at_curvature=False)
    baseline = engine.baseline(None)

    def theirs(draws: int) -> object:
        return devinterp_language_llc(
            problem.model,
            lambda model, ids: system.position_loss(model, (ids,)),
            dataset,
            replace(SPEC, draws=draws),
            tmp_path / f"{next(folders)}.zarr",
        )

    times = race(
        lambda: engine.run([None], baselines=[baseline]),
        lambda: theirs(SPEC.draws),
        startup=(lambda: None, lambda: theirs(4)),
        rounds=5,
        per=(SPEC.chains * SPEC.draws, SPEC.chains * (SPEC.draws - 4)),
    )
    report(
        "107,904-parameter language model, batch 8 × 128 tokens, per step and chain",
        f"{np.median(times.ours) * 1e3:.3g} ms",
        f"{np.median(times.theirs) * 1e3:.3g} ms (2.0.1)",
        f"{times.ratio:.2f} ({times.spread})",
    )
