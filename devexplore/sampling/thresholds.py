"""Where each check of an LLC begins to accuse."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Where each check begins to accuse. ``…_fatal``: not an LLC; the others: doubtful.

    Chosen so that fewer than one in twenty healthy estimates is accused by all of them together (quadratic,
    linear, reduced-rank and deep linear networks at their optimum; 3–8 chains, 40–1000 draws).
    """

    forgotten: float = 0.5
    """Share (E[L] − L*)/(L_trivial − L*) of what w* learned that the chains forget. At one half they are as
    near to knowing nothing as to w*."""
    forgotten_fatal: float = 1.0
    """At one, they do worse than a predictor that learned nothing: λ̂ is then const − nβ·L*."""
    upside_down_r2: float = 0.95
    """R² of λ̂ against −nβ·L* over neighbouring checkpoints, and …"""
    upside_down_slope: float = 0.1
    """… distance of its slope from 1: the chains' E[L] does not depend on the checkpoint."""
    upside_down_range: float = 20.0
    """Only where nβ·L* changes by this many standard errors of λ̂ in either half of the
    neighbours (noise leaves R² at about 1 − 12/20² = .97)."""
    upside_down_excess: float = 0.25
    """… and only checkpoints whose chains sit farther from L* than this share of what L* changes by."""
    stability: float = 2.0
    """ε(nβ·h_max + γ): at 2 the stiffest direction's variance is twice what it should be, 1/(1 − 2/4)."""
    stability_fatal: float = 4.0
    """From 4 on SGLD has no stationary state."""
    relative_distance: float = 2.0
    """‖w − w*‖/‖w*‖. Singular networks at their optimum go to about 1 (8-4-8 reduced rank: 1.25)."""
    spread: float = 1.5
    """γ‖w − w*‖²/P over what γ alone lets chains diffuse to, which no bowl exceeds; a final distance is a
    χ² of P·chains degrees, so four of its standard deviations are allowed on top."""
    drift: float = 0.15
    """|λ̂ of the second half of the draws − first|/|λ̂|: less is not worth more burn-in, and …"""
    drift_z: float = 4.0
    """… in standard errors (these come from as few as three chains, so their tails are long)."""
    rhat: float = 1.2
    """R̂. Textbooks ask 1.01 to 1.1 of long runs (Vehtari et al. 2021), but three healthy chains of 40 draws
    reach 1.17 once in twenty times, and what chains disagree on is in the error bar."""
    ess: float = 10.0
    """Effective draws. With fewer the error bar is itself unknown to more than a quarter."""
    negative_fatal: float = 3.0
    """λ̂ below zero by this many standard errors: the chains found lower ground than w*."""
    ceiling: float = 1.25
    """λ̂ over P/2, which no local minimum of a smooth loss exceeds (as nβ grows); batch noise and step size
    raise good estimates by up to a tenth."""
    ceiling_fatal: float = 2.0
    """λ̂ over P/2: beyond even a loss that rises linearly from w* in all directions, which has P."""
    slope_share: float = 0.5
    """What the slope at w* takes off λ̂, over what it leaves. No network trained by SGD sits quite at a
    minimum: 0.2 to 0.4 are common, and /llc has the number for those who correct …"""
    slope_share_fatal: float = 1.0
    """… but where it takes more than it leaves, λ̂ is mostly slope."""
    slope_errors: float = 2.0
    """Slopes that take off fewer standard errors of λ̂ than this are let pass."""
    saddle_growth: float = 1.0
    """Where nβ·h_min + γ < 0, displacements grow by e to this power or more while a chain runs, and …"""
    saddle_share: float = 0.1
    """… the descent there takes off this share of λ̂ (without it). Optima of wide networks on noisy data are
    shallow saddles, down to where the noise is fitted too, and their λ̂ is good."""
