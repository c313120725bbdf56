"""What cannot be sampled is refused in words, before anything is walked."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from devexplore.errors import InvalidSpec
from devexplore.sampling import Execution, LLCSpec, estimate_llc, estimate_llcs

SPEC = LLCSpec(step_size=1e-4, localization=1.0, n_beta=10.0, batch_size=8, chains=2, draws=8, burn_in=0)
DATA = (torch.linspace(-1, 1, 60).reshape(20, 3),)


def squared(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return (model(batch[0]) ** 2).sum(dim=1)


LOSSES: dict[str, tuple[Callable[[nn.Module, tuple[Tensor, ...]], Tensor], str]] = {
    "random": (
        lambda m, b: (F.dropout(m(b[0]), 0.5, training=True) ** 2).sum(dim=1),
        "differs from call to call",
    ),
    "detached": (lambda m, b: squared(m, b).detach(), "no gradient in the weights"),
    "outside torch": (lambda m, b: torch.from_numpy(squared(m, b).detach().numpy()), "no gradient"),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_that_are_no_differentiable_function_of_the_weights(name: str) -> None:
    loss, said = LOSSES[name]
    with pytest.raises(InvalidSpec, match=said):
        estimate_llc(nn.Linear(3, 2), loss, DATA, SPEC)


def test_models_without_real_weights() -> None:
    class Holder(nn.Module):
        def __init__(self, weights: Tensor) -> None:
            super().__init__()
            self.w = nn.Parameter(weights)

        def forward(self, x: Tensor) -> Tensor:
            return x * self.w.abs().sum()

    with pytest.raises(InvalidSpec, match="only real weights"):
        estimate_llc(Holder(torch.zeros(3, dtype=torch.complex64)), squared, DATA, SPEC)
    with pytest.raises(InvalidSpec, match="nothing to sample"):
        estimate_llc(Holder(torch.zeros(0)), squared, DATA, SPEC)


def test_traces_that_would_not_fit_and_memory_that_is_no_size() -> None:
    with pytest.raises(InvalidSpec, match=r"draws are 1\.28e\+06 GB of losses and 2 GB are allowed"):
        estimate_llc(
            nn.Linear(3, 2), squared, DATA, LLCSpec(**{**vars(SPEC), "chains": 80_000, "draws": 10**9})
        )
    for memory in (None, True, 4e9):
        with pytest.raises(InvalidSpec, match="500MB or 4GB, or in bytes"):
            Execution(memory=memory)  # type: ignore[arg-type]


def test_no_components_and_a_path_that_the_loss_does_not_know() -> None:
    with pytest.raises(InvalidSpec, match="at least one component"):
        estimate_llcs(nn.Linear(3, 2), squared, DATA, SPEC, [], components={})

    def branching(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        losses = squared(model, batch)
        return losses if losses.sum().item() > 0 else 2 * losses

    with pytest.raises(InvalidSpec, match="knows no vectorized form"):
        estimate_llc(nn.Linear(3, 2), branching, DATA, SPEC, execution=Execution(path="vectorized"))
    with pytest.raises(InvalidSpec, match=r"needs .* of memory"):
        estimate_llc(nn.Linear(3, 2), branching, DATA, SPEC, execution=Execution(memory=300))


def test_a_batch_beyond_the_data_uses_all_of_them_and_no_memory_for_indices() -> None:
    huge = estimate_llc(nn.Linear(3, 2), squared, DATA, LLCSpec(**{**vars(SPEC), "batch_size": 10**9}))
    assert (huge.traces.status == 0).all()


def test_chains_that_have_not_moved_give_no_llc() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    for step_size in (1e-20, 1e-9):
        result = estimate_llc(model, squared, DATA, LLCSpec(**{**vars(SPEC), "step_size": step_size}))
        assert result.verdict.code == 2
        assert "hardly moved" in result.verdict.reasons[0]
