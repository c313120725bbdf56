"""What an in-context regression transformer does."""

import torch
from torch import Tensor, nn

from devexplore.measure.metric import Metric, averaged
from devexplore.systems.base import in_parts
from devexplore.systems.regression import Regression


def regression_metrics(
    system: Regression, model: nn.Module, held_out: tuple[Tensor, ...], seed: int
) -> dict[str, Metric]:
    """ICL score loss_K − loss_1, and mean squared prediction ŷ² (near 0 when it uses the task prior)."""
    predicted = torch.cat(
        [system.outputs(model, part, "predictions") for part in in_parts(held_out, system.eval_batch)]
    )
    loss = (predicted - held_out[1]) ** 2
    units = system.loss_units
    return {
        "position_loss": averaged(
            loss, ("position",), {"units": units, "long_name": "held-out loss at each position"}
        ),
        "icl_score": averaged(
            loss[:, -1] - loss[:, 0],
            (),
            {
                "units": units,
                "long_name": f"ICL score: loss of example {loss.shape[1]} − loss of example 1",
            },
        ),
        "squared_prediction": averaged(
            predicted**2,
            ("position",),
            {"units": "squared output", "long_name": "mean squared prediction at each position"},
        ),
    }
