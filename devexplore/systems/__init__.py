"""The four systems of the literature, by name: from a preset (``from_preset``) or a run (``from_recipe``)."""

from collections.abc import Mapping
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from devexplore.errors import InvalidSpec
from devexplore.systems.base import Probe, System, Variable

__all__ = ["NAMES", "Probe", "System", "Variable", "from_preset", "from_recipe"]

_CLASSES: Mapping[str, str] = {
    "language": "Language",
    "regression": "Regression",
    "superposition": "Superposition",
    "deep_linear": "DeepLinear",
}
NAMES = tuple(_CLASSES)


def _module(name: str) -> Any:
    if name not in _CLASSES:
        raise InvalidSpec(f"unknown system {name!r}; devexplore knows {', '.join(NAMES)}")
    return import_module(f"devexplore.systems.{name}")


def from_preset(name: str, preset: str, overrides: Mapping[str, Any], folder: Path) -> System:
    """A system with a preset's hyper-parameters, some of them overridden. ``folder`` is the run it will be
    trained in.
    """
    module = _module(name)
    if preset not in module.PRESETS:
        raise InvalidSpec(f"{name} has no preset {preset!r}; choose one of {', '.join(module.PRESETS)}")
    spec = module.PRESETS[preset]
    known = [field.name for field in fields(spec)]
    unknown = [key for key in overrides if key not in known]
    if unknown:
        raise InvalidSpec(f"{name} has no hyper-parameter {', '.join(unknown)}; it has {', '.join(known)}")
    return getattr(module, _CLASSES[name])(replace(spec, **overrides), folder)


def from_recipe(recipe: Mapping[str, Any], folder: Path) -> System:
    """The system that a run's ``run.json`` describes."""
    name = recipe["system"]
    module = _module(name)
    spec_class: Any = type(next(iter(module.PRESETS.values())))
    unknown = set(recipe["spec"]) - {field.name for field in fields(spec_class)}
    if unknown:
        raise InvalidSpec(
            f"{folder / 'run.json'} has hyper-parameters this version does not know "
            f"({', '.join(sorted(unknown))}); upgrade devexplore"
        )
    spec = spec_class(**{key: tuple(v) if isinstance(v, list) else v for key, v in recipe["spec"].items()})
    return getattr(module, _CLASSES[name])(spec, folder, recipe)
