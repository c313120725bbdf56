"""Curvature and slope at w*: known spectra, displaced minima whose λ̂ is sampled, saddles."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from devexplore.sampling import LLCSpec, estimate_llc
from devexplore.sampling.curvature import curvature, lanczos, slope_shift, stability


def matrix(eigenvalues: Tensor, seed: int = 0) -> Tensor:
    """Symmetric, of these eigenvalues, turned at random."""
    generator = torch.Generator().manual_seed(seed)
    size = len(eigenvalues)
    basis = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q
    return ((basis * eigenvalues) @ basis.T).float()


def gradients(hessians: Tensor, minima: Tensor):
    """∇ of ½(w − m)ᵀH(w − m) for each row."""
    return lambda weights: torch.einsum("rij,rj->ri", hessians, weights - minima)


SPECTRA = {
    "an outlier": torch.cat([torch.linspace(0, 1, 199), torch.tensor([20.0])]),
    "decaying": torch.logspace(-6, 2, 200),
    "saddle": torch.cat([torch.linspace(-0.1, 1, 198), torch.tensor([-3.0, 8.0])]),
    "three values": torch.tensor([1.0] * 50 + [4.0] * 50 + [9.0] * 100),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_extreme_curvatures_of_known_spectra_are_found_within_two_percent(name: str) -> None:
    spectrum = SPECTRA[name].double()
    hessian, w_star = matrix(spectrum)[None], torch.randn(1, 200, generator=torch.Generator().manual_seed(1))
    found = curvature(gradients(hessian, torch.zeros(1, 200)), w_star)
    scale = float(spectrum.abs().max())
    assert found.h_max[0] == pytest.approx(float(spectrum.max()), rel=0.02)
    assert found.h_min[0] == pytest.approx(float(spectrum.min()), abs=0.02 * scale)
    assert found.h_max[0] <= float(spectrum.max()) * (1 + 1e-4)


def test_rows_are_what_they_are_alone_and_a_row_that_is_not_finite_spoils_no_other() -> None:
    hessians = torch.stack([matrix(SPECTRA["an outlier"].double(), seed) for seed in range(3)])
    minima = torch.randn(3, 200, generator=torch.Generator().manual_seed(0))
    w_star = torch.ones(3, 200)
    w_star[1, 5] = torch.nan
    found = curvature(gradients(hessians, minima), w_star)
    for row in (0, 2):
        alone = curvature(gradients(hessians[[row]], minima[[row]]), w_star[[row]])
        np.testing.assert_allclose(found.h_max[row], alone.h_max[0], rtol=1e-4)
        np.testing.assert_allclose(found.gradient_norm[row], alone.gradient_norm[0], rtol=1e-5)
    assert np.isnan([found.h_max[1], found.h_min[1], found.gradient_norm[1]]).all()


def test_clamped_weights_leave_the_block_of_the_free_ones() -> None:
    hessian = torch.diag(torch.tensor([100.0, 5.0, 3.0, 2.0, 50.0]))[None]
    free = torch.tensor([[False, True, True, True, False]])
    found = curvature(gradients(hessian, torch.ones(1, 5)), torch.zeros(1, 5), free=free)
    assert found.h_max[0] == pytest.approx(5, rel=1e-4)
    assert found.h_min[0] == pytest.approx(2, rel=1e-4)
    assert found.gradient_norm[0] == pytest.approx(np.sqrt(5**2 + 3**2 + 2**2), rel=1e-5)


def test_the_ritz_weights_give_the_moments_of_the_start_vector() -> None:
    """Σθᵏ·weight = vᵀHᵏv/‖v‖² for k up to 2m − 1."""
    hessian = matrix(SPECTRA["decaying"].double())
    start = torch.randn(1, 200, generator=torch.Generator().manual_seed(3))
    ritz, _ = lanczos(gradients(hessian[None], torch.zeros(1, 200)), torch.zeros(1, 200), start, iterations=3)
    unit = start[0].double() / start[0].double().norm()
    power = unit.clone()
    for k in range(6):
        assert float((ritz.values[0] ** k * ritz.weights[0]).sum()) == pytest.approx(
            float(unit @ power), rel=1e-3
        )
        power = hessian.double() @ power


def test_a_start_that_touches_two_eigenvalues_ends_after_two_and_no_value_is_made_up() -> None:
    hessian = torch.diag(torch.tensor([1.0, 4.0, 9.0, 16.0]))[None]
    start = torch.tensor([[0.0, 3.0, 4.0, 0.0]])
    ritz, _ = lanczos(gradients(hessian, torch.zeros(1, 4)), torch.zeros(1, 4), start)
    np.testing.assert_allclose(ritz.values[0, :2], [4, 9], rtol=1e-4)
    np.testing.assert_allclose(ritz.weights[0, :2], [0.36, 0.64], rtol=1e-4)
    assert np.isnan(ritz.values[0, 2:]).all()


def test_at_an_exact_minimum_the_slope_is_nothing() -> None:
    hessian = torch.diag(torch.tensor([1.0, 4.0]))[None]
    found = curvature(gradients(hessian, torch.zeros(1, 2)), torch.zeros(1, 2))
    shift = slope_shift(found.slope, found.gradient_norm, n_beta=100, localization=1)
    assert (found.gradient_norm[0], shift.shift[0], shift.unheld[0]) == (0, 0, 0)


def test_a_slope_into_a_direction_that_nothing_holds_is_reported_as_such() -> None:
    """nβ·(−4) + 10 < 0: half of ‖g‖² points down the saddle."""
    hessian = torch.diag(torch.tensor([4.0, -4.0]))[None]
    found = curvature(gradients(hessian, torch.ones(1, 2)), torch.zeros(1, 2))
    assert found.h_min[0] == pytest.approx(-4, rel=1e-4)
    shift = slope_shift(found.slope, found.gradient_norm, n_beta=5, localization=10)
    assert shift.unheld[0] == pytest.approx(0.5, rel=1e-4)
    # the direction that is held: a = 30, −nβ²g²/a·(1 − nβθ/2a)
    assert shift.shift[0] == pytest.approx(-25 * 16 / 30 * (1 - 20 / 60), rel=1e-3)


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_the_descent_from_a_saddle_is_its_depth_whatever_the_slope(scale: float) -> None:
    """L = ½·3x² + y⁴/4 − s·y²/2 + slope·x + 0.1·y at 0: s²/4 deep along y, with h_min = −s."""

    def gradient(weights: Tensor) -> Tensor:
        x, y = weights.T
        return torch.stack([3 * x + 0.5, y**3 - scale * y + 0.1], dim=1)

    found = curvature(gradient, torch.zeros(1, 2))
    assert found.h_min[0] == pytest.approx(-scale, rel=0.02)
    assert found.descent[0] == pytest.approx(scale**2 / 4, rel=0.03)


def test_where_the_loss_curves_up_there_is_no_descent() -> None:
    hessians = torch.stack([matrix(torch.linspace(0.1, 3, 20).double()), torch.eye(20)])
    found = curvature(gradients(hessians, torch.ones(2, 20)), torch.zeros(2, 20))
    assert found.descent.tolist() == [0, 0]


def test_stability_is_the_step_times_the_steepest_pull() -> None:
    np.testing.assert_allclose(
        stability(np.array([2.0, 4.0]), step_size=0.1, n_beta=5, localization=10), [2, 3]
    )


class Displaced(nn.Module):
    """L = ½Σh(w − m)², measured at w* = 0, which is not its minimum."""

    def __init__(self, curvature: Tensor, minimum: Tensor) -> None:
        super().__init__()
        self.register_buffer("curvature", curvature)
        self.register_buffer("minimum", minimum)
        self.w = nn.Parameter(torch.zeros_like(curvature))


def displaced_loss(model: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return 0.5 * (model.curvature * (model.w - model.minimum) ** 2).sum().expand(len(batch[0]))


@pytest.mark.parametrize(("burn_in", "draws"), [(800, 400), (0, 60)])
def test_the_shift_of_a_displaced_minimum_is_what_sampling_shows(burn_in: int, draws: int) -> None:
    """λ̂(displaced) − λ̂(at the minimum), with the same noise, in equilibrium and on the way there."""
    h, minimum = torch.linspace(0.2, 5, 10), torch.linspace(0.3, -0.1, 10)
    spec = LLCSpec(
        step_size=1e-2, n_beta=20, localization=5, batch_size=1, chains=256, draws=draws, burn_in=burn_in
    )
    no_data = (torch.zeros(1),)
    displaced, at_minimum = (
        estimate_llc(Displaced(h, m), displaced_loss, no_data, spec).estimate
        for m in (minimum, torch.zeros(10))
    )
    found = curvature(gradients(torch.diag(h)[None], minimum[None]), torch.zeros(1, 10))
    shift = slope_shift(
        found.slope,
        found.gradient_norm,
        n_beta=20,
        localization=5,
        step_size=1e-2,
        burn_in=burn_in,
        updates=spec.updates,
    )
    error = np.hypot(displaced.llc_se, at_minimum.llc_se)
    assert error < 0.05 * abs(float(shift.shift[0]))
    assert displaced.llc - at_minimum.llc == pytest.approx(float(shift.shift[0]), abs=3 * error)
    if burn_in:
        equilibrium = slope_shift(found.slope, found.gradient_norm, n_beta=20, localization=5)
        assert equilibrium.shift[0] == pytest.approx(shift.shift[0], rel=0.01)


def test_products_with_a_networks_hessian_are_those_of_automatic_differentiation() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 3))
    inputs, targets = torch.randn(200, 6), torch.randn(200, 3)
    names = [name for name, _ in model.named_parameters()]
    sizes = [parameter.numel() for parameter in model.parameters()]

    def loss(flat: Tensor) -> Tensor:
        pieces = (
            piece.view_as(own) for piece, own in zip(flat.split(sizes), model.parameters(), strict=True)
        )
        named = dict(zip(names, pieces, strict=True))
        return ((torch.func.functional_call(model, named, inputs) - targets) ** 2).mean()

    w_star = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])[None]
    eigenvalues = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, w_star[0]))
    found = curvature(lambda weights: torch.stack([torch.func.grad(loss)(row) for row in weights]), w_star)
    assert found.h_max[0] == pytest.approx(float(eigenvalues[-1]), rel=0.01)
    assert found.h_min[0] == pytest.approx(float(eigenvalues[0]), abs=0.02 * float(eigenvalues[-1]))
