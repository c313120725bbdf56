"""One SGLD step: drift ε/2, noise √ε; with the RMSprop preconditioner, the same target."""

import pytest
import torch

from devexplore.sampling import sgld_step
from devexplore.sampling.sgld import Target, Walker, preconditioner


def target(*, free: torch.Tensor | None = None) -> Target:
    return Target(
        anchor=torch.tensor([[0.0, 2.0], [1.0, 1.0]]),
        step_size=torch.tensor([[0.04], [0.25]]),
        n_beta=torch.tensor([[10.0], [2.0]]),
        localization=torch.tensor([[3.0], [0.0]]),
        free=free,
    )


WEIGHTS = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
GRADIENT = torch.tensor([[0.5, -1.0], [2.0, 0.0]])
NOISE = torch.tensor([[1.0, -1.0], [0.5, 2.0]])
BY_HAND = torch.tensor(
    [
        [1 - 0.02 * (10 * 0.5 + 3 * 1) + 0.2, 2 - 0.02 * (10 * -1 + 0) - 0.2],
        [3 - 0.125 * (2 * 2) + 0.25, 4 + 1.0],
    ]
)


def test_each_row_steps_by_its_own_settings_and_leaves_its_inputs_alone() -> None:
    before = WEIGHTS.clone()
    stepped = sgld_step(Walker(WEIGHTS), GRADIENT, NOISE, target())
    torch.testing.assert_close(stepped.weights, BY_HAND)
    assert stepped.second_moment is None
    assert torch.equal(before, WEIGHTS)


def test_weights_that_are_not_free_stay() -> None:
    free = torch.tensor([[True, False], [False, True]])
    stepped = sgld_step(Walker(WEIGHTS), GRADIENT, NOISE, target(free=free)).weights
    torch.testing.assert_close(stepped, torch.where(free, BY_HAND, WEIGHTS))


def test_the_preconditioner_is_one_on_average_and_smaller_where_gradients_are_larger() -> None:
    second_moment = torch.tensor([[1.0, 4.0, 100.0], [0.0, 0.0, 0.0]])
    scale = preconditioner(second_moment, None)
    torch.testing.assert_close(scale.mean(dim=1), torch.ones(2))
    assert scale[0, 0] > scale[0, 1] > scale[0, 2]
    free = torch.tensor([[True, True, False], [True, True, False]])
    torch.testing.assert_close(preconditioner(second_moment, free)[:, :2].mean(dim=1), torch.ones(2))


@pytest.mark.parametrize("adapt", [True, False])
def test_the_second_moment_follows_gradients_only_while_adapting(adapt: bool) -> None:
    walker = Walker(WEIGHTS, torch.ones(2, 2))
    stepped = sgld_step(walker, GRADIENT, NOISE, target(), adapt=adapt)
    expected = 0.99 + 0.01 * GRADIENT**2 if adapt else torch.ones(2, 2)
    assert stepped.second_moment is not None
    torch.testing.assert_close(stepped.second_moment, expected)
