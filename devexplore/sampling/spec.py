"""What one LLC measurement does, in numbers."""

import math
from dataclasses import dataclass
from numbers import Integral, Real

from devexplore.errors import InvalidSpec

_LEAST = {"batch_size": 1, "chains": 1, "draws": 4, "burn_in": 0, "thinning": 1, "seed": 0}
_CHOICES = {"sampler": ("sgld", "rmsprop_sgld"), "precision": ("float32", "bfloat16")}


@dataclass(frozen=True, kw_only=True)
class LLCSpec:
    """Settings of a local learning coefficient measured by SGLD.

    The chains sample p(w) ∝ exp(−nβ·L(w) − (γ/2)‖w − w*‖²) with
    w ← w − (ε/2)·[nβ·∇L_batch(w) + γ(w − w*)] + N(0, ε·I): drift ε/2, noise √ε. Other libraries differ by a
    factor of 2 in ε.

    step_size: ε. Stable only while ε·(nβ·h + γ) < 4 for every curvature h of the loss.
    localization: γ, the pull towards w*.
    n_beta: nβ, the inverse temperature times the number of data. ``None`` means n/ln n where n is the size of
        the *data set* the loss is measured on (never the batch size). nβ does not depend on ``batch_size``.
    batch_size: data per gradient, drawn afresh each step, with replacement. At or above the data set's size
        all data are used at every step and the gradient is exact.
    chains: independent chains, all started at w*.
    draws: draws kept per chain (at least 4, which R̂ and the effective sample size need).
    burn_in: updates made before counting draws.
    thinning: updates per kept draw. A chain makes ``burn_in + draws·thinning`` updates.
    seed: chain c draws its batches and noise from (seed, c) alone.
    sampler: "sgld", or "rmsprop_sgld": steps scaled by the RMSprop preconditioner of Li et al. 2016, which is
        adapted during burn-in and held after it (see ``sgld_step``); ε is then the mean step.
    precision: "float32", or "bfloat16" for forward and backward passes in bfloat16 on float32 weights: faster
        where hardware has it, and loss differences are rounded to about 1 part in 300 of a sample's loss.
    shared_noise: True gives chain c the same batches and noise at every checkpoint (common random numbers),
        so that differences between checkpoints are measured more sharply than the values themselves. False
        mixes the checkpoint's weights into the seed, so that checkpoints are independent.

    Raises InvalidSpec where a value is outside what it may be.
    """

    step_size: float
    localization: float
    batch_size: int
    chains: int
    draws: int
    burn_in: int
    n_beta: float | None = None
    thinning: int = 1
    seed: int = 0
    shared_noise: bool = True
    sampler: str = "sgld"
    precision: str = "float32"

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
                raise InvalidSpec(f"{name} must be a whole number of at least {least}, got {value!r}.")
            object.__setattr__(self, name, int(value))
        self._check_real("step_size", zero_allowed=False)
        self._check_real("localization", zero_allowed=True)
        if self.n_beta is not None:
            self._check_real("n_beta", zero_allowed=False)
        if not isinstance(self.shared_noise, bool):
            raise InvalidSpec(f"shared_noise must be True or False, got {self.shared_noise!r}.")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InvalidSpec(f"{name} must be {' or '.join(choices)}, got {getattr(self, name)!r}.")
        if self.sampler == "rmsprop_sgld" and self.burn_in < 100:
            raise InvalidSpec(
                f"rmsprop_sgld adapts its preconditioner during burn-in: burn_in must be at least 100, "
                f"got {self.burn_in}."
            )

    def _check_real(self, name: str, *, zero_allowed: bool) -> None:
        value = getattr(self, name)
        is_real = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
        if not is_real or value < 0 or (value == 0 and not zero_allowed):
            bound = "≥ 0" if zero_allowed else "> 0"
            raise InvalidSpec(f"{name} must be a finite number {bound}, got {value!r}.")
        object.__setattr__(self, name, float(value))

    @property
    def updates(self) -> int:
        """Updates that one chain makes: burn_in + draws·thinning."""
        return self.burn_in + self.draws * self.thinning

    def n_beta_for(self, n_samples: int) -> float:
        """nβ on a data set of ``n_samples``: the stated value, else n/ln n. Raises InvalidSpec if n < 2."""
        if self.n_beta is not None:
            return self.n_beta
        if n_samples < 2:
            raise InvalidSpec(f"n_beta=None means n/ln n and needs n ≥ 2, got n = {n_samples}: state n_beta.")
        return n_samples / math.log(n_samples)
