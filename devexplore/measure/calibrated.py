"""The LLC settings that a calibration chose for a run, kept beside its store."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import xarray as xr

from devexplore.errors import NotMeasured, NotWritable, SchemaError
from devexplore.paths import as_argument
from devexplore.run import Run
from devexplore.schema import STEP
from devexplore.store.provenance import SEED, provenance

CALIBRATION_FILE: Final = "calibration.json"


def calibrated_settings(run: Run) -> dict[str, Any]:
    """The ``LLCSpec`` settings that ``devexplore calibrate`` chose for this run.

    Of one beside the run and one in the user's cache (made while the run was packed, read-only or being
    measured) the newer counts.

    Raises NotMeasured (never calibrated) and SchemaError (the file is broken).
    """
    kept = [folder / CALIBRATION_FILE for folder in (run.path, run.cache_dir)]
    kept = [file for file in kept if file.is_file()]
    if kept:
        return _settings(max(kept, key=lambda file: file.stat().st_mtime_ns))
    raise NotMeasured(
        f"{run.path}: not calibrated; run `devexplore calibrate {as_argument(run.path)}` first, or state LLC "
        "settings"
    )


def write_calibration(
    run: Run,
    settings: Mapping[str, float | int],
    reasons: Sequence[str],
    found: bool,
    sweep: xr.Dataset,
) -> Path:
    """Keep the settings chosen from a sweep with the reasons, in place of earlier ones, whole or not at all.

    The file lies beside the store that took the sweep: in the run's folder or, if that is packed or cannot be
    written, in the user's cache. ``found`` says whether there was a plateau.
    """
    with run.output_store() as store:
        file = Path(store.path).parent / CALIBRATION_FILE
    content = {
        "llc": dict(settings),
        "found": found,
        "reasons": list(reasons),
        "made": {
            **provenance(sweep.attrs.get(SEED), {"run": run.name}),
            "sweep": {"steps": sweep[STEP].values.tolist(), "plan": json.loads(sweep.attrs["plan"])},
        },
    }
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise NotWritable(f"{file}: not written ({error.strerror or error})") from error
    return file


def _settings(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        settings = content["llc"]
        if not isinstance(settings, dict) or not settings:
            raise ValueError(f"expected settings by name, got {settings!r}")
        return settings
    except (ValueError, KeyError, TypeError) as error:
        raise SchemaError(
            f"{file}: no calibration ({type(error).__name__}: {error}); remove it and calibrate again"
        ) from error
