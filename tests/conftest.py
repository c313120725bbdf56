"""Tiny runs of the four systems: a few steps of the smallest networks that still are what they are."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from .jupyterlab import LONG, Lab, Notebook

settings.register_profile("devexplore", deadline=None)  # a busy machine is no failure
settings.load_profile("devexplore")

SMALLEST: dict[str, dict[str, Any]] = {
    "language": {
        "steps": 6,
        "vocabulary": 270,
        "context": 8,
        "width": 8,
        "heads": 2,
        "layers": 1,
        "batch_size": 4,
        "linear_checkpoints": 1,
        "log_checkpoints": 2,
    },
    "regression": {
        "steps": 6,
        "dimension": 2,
        "examples": 4,
        "width": 8,
        "heads": 2,
        "mlp_width": 8,
        "layers": 1,
        "batch_size": 8,
        "linear_checkpoints": 1,
        "log_checkpoints": 2,
    },
    "superposition": {"steps": 6, "batch_size": 8, "linear_checkpoints": 2, "log_checkpoints": 3},
    "deep_linear": {
        "steps": 6,
        "widths": (3, 3, 3),
        "singular_values": (2.0, 1.0),
        "samples": 32,
        "linear_checkpoints": 2,
        "log_checkpoints": 3,
    },
}
SHORT_CHAINS = {
    "step_size": 1e-5,
    "n_beta": 10.0,
    "localization": 1.0,
    "chains": 2,
    "draws": 4,
    "burn_in": 1,
    "thinning": 1,
    "batch_size": 8,
}

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost, EXCLUDE 127.0.0.1",
]


@pytest.fixture(autouse=True, scope="session")
def _no_annotations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Boundaries that the developer saved for the bundled runs are none of the tests' business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEVEXPLORE_ANNOTATIONS", str(tmp_path_factory.mktemp("annotations")))
        yield


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The Chromium of this machine. Where everything must hold (CI), a missing one is a failure."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        words = "no Chromium on this machine: what is drawn in a browser cannot be tested"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    return path


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Any]:
    """Headless Chromium in which every name but this machine's leads nowhere."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=chromium_path, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    started = Lab(tmp_path_factory.mktemp("lab"), {})
    yield started
    started.stop()


@pytest.fixture
def notebook(browser: Any, lab: Lab, request: pytest.FixtureRequest) -> Iterator[Callable[..., Notebook]]:
    """Opens a notebook of these cells; its kernel ends with the test."""
    opened: list[Notebook] = []

    def open_notebook(*cells: str, inside: Lab = lab, name: str = request.node.name[:40]) -> Notebook:
        file = inside.write(f"{name}.ipynb".replace("[", "_").replace("]", ""), list(cells))
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(LONG)
        opened.append(Notebook(page, inside, file))
        return opened[-1]

    yield open_notebook
    for i, one in enumerate(opened):
        if os.environ.get("DEVEXPLORE_SCREENSHOTS") and not one.page.is_closed():
            one.page.screenshot(path=f"{os.environ['DEVEXPLORE_SCREENSHOTS']}/{request.node.name}-{i}.png")
        one.close()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The networks are so small that threads would only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty small files; each holds a word that no other file has."""
    folder = tmp_path_factory.mktemp("text")
    for number in range(40):
        name = "".join("abcdefghij"[int(digit)] for digit in f"{number:03d}")
        text = f"file {name}: the cat sat on the mat, the dog on the log. café über 猫 🙂\n" * 4
        (folder / f"{number:02d}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def smallest(text_folder: Path) -> Callable[..., dict[str, Any]]:
    """Hyper-parameters of the smallest network of a system, some of them changed."""

    def settings(system: str, **changes: Any) -> dict[str, Any]:
        text = {"text": f"folder:{text_folder}"} if system == "language" else {}
        return SMALLEST[system] | text | changes

    return settings


@pytest.fixture(scope="session")
def short_chains() -> dict[str, Any]:
    """LLC settings of a few updates."""
    return dict(SHORT_CHAINS)


@pytest.fixture(scope="session")
def _trained(
    tmp_path_factory: pytest.TempPathFactory, smallest: Callable[..., dict[str, Any]]
) -> Callable[[str], Path]:
    """One trained run of each system, made when it is first asked for."""
    from devexplore import systems
    from devexplore.systems.training import train

    made: dict[str, Path] = {}

    def trained(name: str) -> Path:
        if name not in made:
            out = tmp_path_factory.mktemp("trained") / name
            system = systems.from_preset(name, "small", smallest(name), out)
            made[name] = train(system, out, preset="small", device="cpu", progress=False, log=lambda _: None)
        return made[name]

    return trained


@pytest.fixture
def trained_run(_trained: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a trained run, not yet measured, that the test may change."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(_trained(name), tmp_path / name))

    return copy


@pytest.fixture(scope="session")
def _measured(
    _trained: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
    short_chains: dict[str, Any],
) -> Callable[[str], Path]:
    import devexplore as dx

    made: dict[str, Path] = {}

    def measured(name: str) -> Path:
        if name not in made:
            path = Path(shutil.copytree(_trained(name), tmp_path_factory.mktemp("measured") / name))
            wanted = [dx.TokenLosses(), dx.Metrics(), dx.Outputs(), dx.LLC(short_chains)]
            dx.measure(dx.open(path), wanted, progress=False).close()
            made[name] = path
        return made[name]

    return measured


@pytest.fixture
def measured_run(_measured: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a run on which everything was measured, that the test may change."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(_measured(name), tmp_path / f"measured-{name}"))

    return copy


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder with its bytes (without lock files): equal means that nothing was changed."""

    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    return read
