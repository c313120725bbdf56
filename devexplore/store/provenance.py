"""Where numbers come from: written into the attributes of every group by one function."""

import json
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np

SPEC: Final = "spec"
SEED: Final = "seed"
_LIBRARIES: Final = ("devexplore", "numpy", "xarray", "zarr", "torch")


def provenance(seed: int | None, sources: Mapping[str, str]) -> dict[str, Any]:
    """Attributes that say how a group came to be.

    ``seed`` is the seed of its randomness (None: it used none), ``sources`` maps what went in (such as
    ``"probe"`` or ``"corpus"``) to a hash of it. Adds the versions of python and the libraries, torch only if
    this process uses it, and the time of creation (UTC). Nested values are JSON text, as everywhere in the
    store, so that other readers of Zarr and netCDF can carry them.
    """
    attributes: dict[str, Any] = {} if seed is None else {SEED: int(seed)}
    attributes["sources"] = as_json(sources)
    attributes["versions"] = as_json(library_versions())
    attributes["created"] = datetime.now(UTC).isoformat(timespec="seconds")
    return attributes


def library_versions() -> dict[str, str]:
    """Versions of python and of the libraries in use."""
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        if name == "torch" and name not in sys.modules:
            continue
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # devexplore run from a checkout that is not installed
            versions[name] = "unknown"
    return versions


def as_json(value: Any) -> str:
    """Canonical JSON: equal values give equal text whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain)


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes as JSON can hold them: numpy scalars and arrays become numbers and lists."""
    return json.loads(json.dumps(dict(attributes), ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be kept as an attribute: {value!r}")
