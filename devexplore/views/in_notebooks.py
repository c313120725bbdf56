"""Colours in notebooks and on pages of other people's, where our stylesheets are not and the theme is theirs.

A piece of HTML or SVG names roles (``var(--dx-ink)``); ``colours`` gives them their values, in both themes,
by the marks with which JupyterLab, VS Code, Colab and documentation pages say that they are dark.
"""

from collections.abc import Mapping
from typing import Final, Literal

from devexplore.errors import InvalidSpec
from devexplore.views.style import DARK, LIGHT, Theme, ThemeName

Themes = ThemeName | Literal["auto"]
"""``auto``: as the page around it, which may change."""

ROLES: Final = (
    "surface", "sunken", "ink", "muted", "faint", "line", "grid", "warm_band", "cool_band", "undecided_band",
    "hatch", "uncertainty", "doubtful", "form",
)  # fmt: skip

_DARK_PAGES: Final = (
    '[data-jp-theme-light="false"]',  # JupyterLab, Notebook 7
    ".vscode-dark",
    ".vscode-high-contrast",
    'html[theme="dark"]',  # Colab
    '[data-theme="dark"]',  # documentation pages
)


def require_theme(theme: object) -> None:
    """Raise ``InvalidSpec`` unless this is a theme or "auto"."""
    if theme not in ("auto", "light", "dark"):
        raise InvalidSpec(f"theme: expected 'auto', 'light' or 'dark', got {theme!r}")


def colours(
    selector: str,
    theme: Themes,
    light: Mapping[str, str] | None = None,
    dark: Mapping[str, str] | None = None,
) -> str:
    """CSS that gives the roles their values below this selector, and ``light`` and ``dark`` (by name) those
    that only this piece has."""
    values = {
        "light": _declared(LIGHT, light or {}),
        "dark": _declared(DARK, dark or {}),
    }
    if theme != "auto":
        return f"{selector} {{ {values[theme]} }}"
    dark_pages = ", ".join(f"{page} {selector}" for page in _DARK_PAGES)
    return f"{selector} {{ {values['light']} }} {dark_pages} {{ {values['dark']} }}"


def _declared(theme: Theme, own: Mapping[str, str]) -> str:
    roles = {role.replace("_", "-"): getattr(theme, role) for role in ROLES} | dict(own)
    return " ".join(f"--dx-{name}: {value};" for name, value in roles.items())
