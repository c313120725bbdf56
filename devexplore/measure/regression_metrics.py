"""What an in-context regression transformer does: how it uses the examples before it, whose predictions it
comes near, and what becomes of it on other data.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from devexplore.measure.attention import see
from devexplore.measure.metric import Metric, averaged
from devexplore.measure.regression_attention import attention_metrics
from devexplore.measure.regression_structure import regression_structure
from devexplore.systems.base import in_parts
from devexplore.systems.regression import Regression
from devexplore.systems.regression_ideals import ridge_predictions

OOD_SCALES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Factors g of x → g·x and of t → g·t."""

OOD_SEQUENCES = 512
"""Behind each of these losses."""


def regression_metrics(
    system: Regression, model: nn.Module, held_out: tuple[Tensor, ...], seed: int
) -> dict[str, Metric]:
    """Every metric of one checkpoint, from one forward pass over the held-out samples, whose attention is
    read on the way, and one over each shifted set.
    """
    seen = [see(model, system.tokens(*part)) for part in in_parts(held_out, system.eval_batch)]
    predicted = torch.cat([system.predictions(part.outputs) for part in seen])
    return {
        **regression_behaviour(system, predicted, held_out, seed),
        **out_of_distribution(system, model, held_out[0].device, seed),
        **attention_metrics(torch.cat([part.patterns for part in seen])),
        **regression_structure(system, model),
    }


def regression_behaviour(
    system: Regression, predicted: Tensor, held_out: tuple[Tensor, ...], seed: int
) -> dict[str, Metric]:
    """What predictions ŷ of shape (sequence, K) on the samples ``held_out`` = (x, y) say.

    ``position_loss`` (ŷ_k − y_k)² · ``icl_score`` loss_K − loss_1, and its parts ``icl_score_early``
    loss_m − loss_1 and ``icl_score_late`` loss_K − loss_m with m = K/2 (Hoogland et al. 2024: 4 of 8);
    negative means that examples help · ``squared_prediction`` ŷ_k², near 0 where only the task prior N(0, I)
    is used · ``distance_to_*`` mean over positions of (ŷ − ŷ_ideal)², for the ideal predictors ``zero`` (the
    task prior's mean), ``ridge`` and, with a finite pool of tasks and noise, ``dmmse``.
    """
    loss = (predicted - held_out[1]) ** 2
    last, middle, units = loss.shape[1], max(1, loss.shape[1] // 2), system.loss_units
    found = {
        "position_loss": averaged(
            loss, ("position",), {"units": units, "long_name": "held-out loss at each position"}
        )._replace(blocks=None),
        "squared_prediction": averaged(
            predicted**2,
            ("position",),
            {"units": "squared output", "long_name": "mean squared prediction at each position"},
        ),
    }
    for name, late, early in (
        ("icl_score", last, 1),
        ("icl_score_early", middle, 1),
        ("icl_score_late", last, middle),
    ):
        words = f"ICL score: loss of example {late} − loss of example {early}"
        change = loss[:, late - 1] - loss[:, early - 1]
        found[name] = averaged(change, (), {"units": units, "long_name": words})
    for name, ideal in _ideal_predictions(system, *held_out, seed).items():
        found[f"distance_to_{name}"] = averaged(
            ((predicted - ideal) ** 2).mean(dim=1),
            (),
            {"units": "squared output", "long_name": f"mean squared distance to the predictions of {name}"},
        )
    return found


@lru_cache(maxsize=1)
def _ideal_predictions(system: Regression, x: Tensor, y: Tensor, seed: int) -> dict[str, Tensor]:
    """Kept for the samples of the last run: they are the same at every checkpoint, and dmmse over many tasks
    takes longer than a checkpoint's other metrics.

    System and samples are known by identity (never changed in place), so another run, or samples drawn anew,
    are reckoned anew and take the place of the last. What is held on to is one run's samples and ideals,
    about 1 MB in the presets.
    """
    references = system.references((x, y), "predictions", seed)
    return {name: values.to(x.device) for name, values in references.items()}


class _Shifted(NamedTuple):
    batch: tuple[Tensor, Tensor]
    ridge_loss: Tensor
    """Of each sequence."""


def _shifted(system: Regression, device: torch.device, seed: int) -> dict[str, list[_Shifted]]:
    """Samples of every scale, of inputs and of tasks; the same for the same seed."""
    found: dict[str, list[_Shifted]] = {}
    for kind, data in (("input", "inputs"), ("task", "tasks")):
        found[kind] = []
        for scale in OOD_SCALES:
            x, y = system.restricted_pool(f"{data}:{scale}", OOD_SEQUENCES, seed)
            ridge = ((ridge_predictions(x, y, system.spec.noise_variance) - y) ** 2).mean(dim=1)
            found[kind].append(_Shifted((x.to(device), y.to(device)), ridge))
    return found


def out_of_distribution(
    system: Regression, model: nn.Module, device: torch.device, seed: int
) -> dict[str, Metric]:
    """Loss on inputs x → g·x (with y = t·gx + noise) and on tasks t → g·t, mean over positions; beside it,
    on the same samples, that of ridge with the penalty σ² of the training distribution, which stays the Bayes
    optimum for any inputs, and for tasks is what an ideally trained network would go on doing. All scales
    share their draws. With a finite pool of tasks, g·t is drawn from N(0, g²) and not from the pool.
    """
    found = {}
    for kind, sets in _shifted(system, device, seed).items():
        losses = [system.position_loss(model, shifted.batch).mean(dim=1) for shifted in sets]
        for name, per_sequence, whose in (
            (f"ood_{kind}_loss", losses, "loss"),
            (f"ood_{kind}_ridge_loss", [s.ridge_loss for s in sets], "loss of ridge"),
        ):
            metric = averaged(
                torch.stack(per_sequence, dim=1),
                ("scale",),
                {"units": system.loss_units, "long_name": f"{whose} where {kind}s are g times as large"},
            )
            blocks = (
                metric.blocks if per_sequence is losses else None
            )  # ridge's is the same at every checkpoint
            found[name] = metric._replace(coords={"scale": list(OOD_SCALES)}, blocks=blocks)
    return found
