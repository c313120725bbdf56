"""What is known of a sweep of LLC estimates, and what a check may find in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How the chains of a sweep were run, as far as it is known. None: checks that need it are left out."""

    n_beta: float | None = None
    localization: float | None = None
    step_size: float | None = None
    updates: int | None = None
    """Updates a chain made: burn_in + draws·thinning."""
    chains: int | None = None
    n_parameters: int | None = None
    """Weights that moved."""
    trivial_loss: float | None = None
    """Loss of a predictor that ignores its input."""
    trivial_name: str = "trivial predictor"
    loss_units: str = ""

    @classmethod
    def of_attributes(cls, attrs: Mapping[str, Any], loss_units: str = "") -> "Setting":
        """From the attributes of a stored group, as far as they go.

        A preconditioned step has no one ε: stability and relaxation are then not judged.
        """
        known = {name: _number(attrs.get(name)) for name in ("n_beta", "localization", "trivial_loss")}
        lengths = [_number(attrs.get(name)) for name in ("burn_in", "draws", "thinning")]
        whole = {name: _number(attrs.get(name)) for name in ("chains", "n_parameters")}
        plain = attrs.get("sampler", "sgld") == "sgld"
        return cls(
            **known,
            step_size=_number(attrs.get("step_size")) if plain else None,
            updates=None if None in lengths else int(lengths[0] + lengths[1] * lengths[2]),  # type: ignore[operator]
            chains=None if whole["chains"] is None else int(whole["chains"]),
            n_parameters=None if whole["n_parameters"] is None else int(whole["n_parameters"]),
            trivial_name=str(attrs.get("trivial_name", cls.trivial_name)),
            loss_units=loss_units,
        )


def _number(value: Any) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)


class Finding(NamedTuple):
    """One accusation: its name, the checkpoints it holds for, and its words at one of them."""

    name: str
    where: Bool[np.ndarray, " step"]
    words: Callable[[int], str]
    fatal: bool = False
    """Whether λ̂ is then not an LLC; else it is doubtful."""


class Sweep:
    """The checks by name, NaN where not recorded, and what follows from several of them."""

    def __init__(self, checks: Mapping[str, np.ndarray], setting: Setting) -> None:
        self._checks = {name: np.asarray(values, dtype=np.float64) for name, values in checks.items()}
        self.size = len(self._checks["llc"])
        self.setting = setting

    def __getitem__(self, name: str) -> Float[np.ndarray, " step"]:
        return self._checks.get(name, np.full(self.size, np.nan))

    def holds(self, name: str) -> bool:
        return name in self._checks

    @property
    def loss_error(self) -> Float[np.ndarray, " step"]:
        """Standard error of E[L]."""
        n_beta = self.setting.n_beta
        return self["llc_se"] / (np.nan if n_beta is None else n_beta)

    def loss(self, values: Float[np.ndarray, " step"], at: int) -> str:
        return f"{values[at]:.3g} {self.setting.loss_units}".rstrip()
