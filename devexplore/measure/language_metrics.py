"""What a language model does: bigrams, in-context learning."""

import torch
from torch import Tensor, nn

from devexplore.measure.metric import Metric, averaged
from devexplore.systems.base import in_parts
from devexplore.systems.language import Language


def language_metrics(
    system: Language, model: nn.Module, held_out: tuple[Tensor, ...], seed: int
) -> dict[str, Metric]:
    """The ICL score (late − early loss) and the KL divergence to the corpus' bigrams."""
    bigrams = system.bigrams
    losses, divergences = [], []
    for (part,) in in_parts(held_out, system.eval_batch):
        log_probs = model(part[:, :-1]).log_softmax(dim=-1)
        losses.append(-log_probs.gather(-1, part[:, 1:, None])[..., 0])
        divergences.append(bigrams.divergence(part[:, :-1], log_probs))
    loss = torch.cat(losses)
    early, late = system.icl_positions
    return {
        "position_loss": averaged(
            loss, ("position",), {"units": "nats", "long_name": "held-out loss at each position"}
        ),
        "icl_score": averaged(
            loss[:, late].mean(dim=1) - loss[:, early].mean(dim=1),
            (),
            {
                "units": "nats",
                "long_name": "ICL score: mean loss of positions "
                f"{late.start}–{late.stop - 1} − positions {early.start}–{early.stop - 1}",
            },
        ),
        "bigram_kl": averaged(
            torch.cat(divergences).nanmean(dim=1),
            (),
            {"units": "nats", "long_name": "KL divergence of the corpus' bigrams from the predictions"},
        ),
    }
