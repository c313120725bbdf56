"""One SGLD step: drift ε/2, noise √ε."""

import torch

from devexplore.sampling import sgld_step


def test_each_row_steps_by_its_own_settings_and_leaves_its_inputs_alone() -> None:
    weights = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    gradient = torch.tensor([[0.5, -1.0], [2.0, 0.0]])
    anchor = torch.tensor([[0.0, 2.0], [1.0, 1.0]])
    noise = torch.tensor([[1.0, -1.0], [0.5, 2.0]])
    before = weights.clone()
    stepped = sgld_step(
        weights,
        gradient,
        anchor,
        noise,
        step_size=torch.tensor([[0.04], [0.25]]),
        n_beta=torch.tensor([[10.0], [2.0]]),
        localization=torch.tensor([[3.0], [0.0]]),
    )
    by_hand = torch.tensor(
        [
            [1 - 0.02 * (10 * 0.5 + 3 * 1) + 0.2, 2 - 0.02 * (10 * -1 + 0) - 0.2],
            [3 - 0.125 * (2 * 2) + 0.25, 4 + 1.0],
        ]
    )
    torch.testing.assert_close(stepped, by_hand)
    assert torch.equal(weights, before)
