"""Every colour, font and spacing of the product, once.

The rule of the page: the interface is ink on paper, and only data have colour. Warm means type A (the LLC
rises), cool means type B (it falls), grey hatching means undecided; red means a loss fell, blue that it rose.
Both pairs are told apart by readers with any of the common colour-vision deficiencies (they differ along
blue–yellow and in lightness), and no colour is the only carrier of its meaning: stages are also named, bands
also hatched, doubtful points also hollow.
"""

from typing import Final, Literal, NamedTuple

ThemeName = Literal["light", "dark"]


class Theme(NamedTuple):
    """The colours of one theme, by role."""

    page: str
    surface: str
    sunken: str
    ink: str
    muted: str
    faint: str
    line: str
    grid: str
    warm: tuple[str, ...]
    """Six shades for stages of type A (cool: B), in the order of training: away from the ground."""
    cool: tuple[str, ...]
    undecided: tuple[str, ...]
    warm_band: str
    cool_band: str
    undecided_band: str
    hatch: str
    fell: str
    rose: str
    circle: str
    circle_in_space: str
    evolute: str
    evolute_line: str
    raw: str
    uncertainty: str
    doubtful: str
    subtracted: str
    form: str
    form_ground: str
    form_band: str
    time: tuple[str, ...]
    runs: tuple[str, ...]


LIGHT: Final = Theme(
    page="#f3f3f0",
    surface="#ffffff",
    sunken="#f7f7f5",
    ink="#16181b",
    muted="#565d67",
    faint="#8b929c",
    line="#dcdee1",
    grid="#ecedef",
    warm=("#d37f02", "#c56812", "#b25019", "#9c391d", "#84231d", "#6b0e1a"),
    cool=("#0e9bd2", "#0083c2", "#006cb1", "#0d549f", "#243d87", "#2c256d"),
    undecided=("#8b9199", "#737880", "#5c6168", "#454a50", "#30343a", "#1c2025"),
    warm_band="rgba(238, 142, 60, 0.17)",
    cool_band="rgba(58, 134, 200, 0.16)",
    undecided_band="rgba(120, 126, 136, 0.06)",
    hatch="rgba(110, 116, 126, 0.26)",
    fell="#c62f2b",
    rose="#2b62c9",
    circle="rgba(60, 66, 76, 0.13)",
    circle_in_space="#b4b9c0",
    evolute="#16181b",
    evolute_line="rgba(22, 24, 27, 0.35)",
    raw="rgba(86, 93, 103, 0.45)",
    uncertainty="rgba(22, 24, 27, 0.15)",
    doubtful="#7a4fbf",
    subtracted="#0f8a7e",
    form="#007a45",
    form_ground="rgba(0, 122, 69, 0.07)",
    form_band="rgba(0, 122, 69, 0.38)",
    time=("#2d1a8c", "#7a1fa2", "#c23b76", "#ea7a4b", "#f4b13d"),
    runs=("#44598a", "#d07810", "#00a096", "#6314ad", "#6d0b31", "#866439"),
)

DARK: Final = Theme(
    page="#0e1013",
    surface="#171a1e",
    sunken="#1d2126",
    ink="#eceef1",
    muted="#a2aab5",
    faint="#757d89",
    line="#2d3239",
    grid="#23272d",
    warm=("#ce4b31", "#da6e3b", "#e58e4b", "#eeac61", "#f7ca7c", "#ffe7a1"),
    cool=("#5c6bc4", "#5389d8", "#57a5e8", "#69c0f3", "#87dafd", "#bdf1ff"),
    undecided=("#676b71", "#80848a", "#9a9ea4", "#b5b9bf", "#d1d5da", "#edf1f6"),
    warm_band="rgba(240, 138, 62, 0.13)",
    cool_band="rgba(85, 163, 228, 0.15)",
    undecided_band="rgba(163, 169, 178, 0.07)",
    hatch="rgba(170, 176, 186, 0.24)",
    fell="#e8574f",
    rose="#4f8df2",
    circle="rgba(200, 206, 216, 0.13)",
    circle_in_space="#474d56",
    evolute="#eceef1",
    evolute_line="rgba(236, 238, 241, 0.4)",
    raw="rgba(162, 170, 181, 0.45)",
    uncertainty="rgba(236, 238, 241, 0.18)",
    doubtful="#b99af0",
    subtracted="#35b5a6",
    form="#3fdc8f",
    form_ground="rgba(63, 220, 143, 0.08)",
    form_band="rgba(63, 220, 143, 0.38)",
    time=("#7d6bf0", "#b455d6", "#e05a97", "#f38d5f", "#f8c65a"),
    runs=("#2a80ff", "#ff9f17", "#76ffe7", "#a28cc8", "#e2445f", "#ffffa7"),
)

THEMES: Final[dict[ThemeName, Theme]] = {"light": LIGHT, "dark": DARK}

FONT: Final = (
    'Inter, "Segoe UI", system-ui, -apple-system, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif'
)
MONO: Final = '"JetBrains Mono", "SF Mono", Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace'

SIZES: Final = {"small": 11, "body": 13, "title": 14, "brand": 16}
"""Font sizes in pixels."""

SPACES: Final = {"1": 4, "2": 8, "3": 12, "4": 16, "5": 24}
"""Paddings and gaps in pixels."""

TOKEN_STRENGTH: Final = 70
"""Per cent of red or blue over the surface at the colour limit: strong, and the text on it can be read."""

RADIUS: Final = 6

TYPE_WORDS: Final = {"A": "type A, LLC rises", "B": "type B, LLC falls", "undecided": "undecided"}


def stage_shades(types: list[str], theme: Theme) -> list[str]:
    """One colour a stage: warm for A, cool for B, grey for undecided; stages of one type go, in their order,
    over the shades of it, and no two are the same."""
    shades = {"A": theme.warm, "B": theme.cool, "undecided": theme.undecided}
    kinds = [kind if kind in shades else "undecided" for kind in types]
    rest = {kind: iter(_along(options, kinds.count(kind))) for kind, options in shades.items()}
    return [next(rest[kind]) for kind in kinds]


def _along(shades: tuple[str, ...], count: int) -> list[str]:
    """So many colours along these shades, as far apart as can be; up to three keep off both ends."""
    last = len(shades) - 1
    first, end = (1.0, last - 1.0) if count <= 3 else (0.0, float(last))
    places = [first + (end - first) * i / max(count - 1, 1) for i in range(count)]
    lower = [min(int(place), last - 1) for place in places]
    return [
        blend(shades[low + 1], shades[low], place - low) for low, place in zip(lower, places, strict=True)
    ]


def faded(colour: str, opacity: float) -> str:
    """A colour #rrggbb let through: grounds and bands of uncertainty in the colour of what they belong to."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def band(kind: str, theme: Theme) -> str:
    """The background tint of a stage's band."""
    return {"A": theme.warm_band, "B": theme.cool_band}.get(kind, theme.undecided_band)


RUN_SYMBOLS: Final = ("circle", "square", "x", "cross")
"""Marks of runs seen together; they exist in planes and in space."""


def run_style(place: int, theme: Theme) -> tuple[str, str]:
    """Colour and symbol of the run at this place (0, 1 …); 12 runs go by before a pair comes again."""
    return theme.runs[place % len(theme.runs)], RUN_SYMBOLS[place % len(RUN_SYMBOLS)]


PLANE_SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "x")


def plane_style(place: int, theme: Theme) -> tuple[str, str]:
    """Colour and symbol of the plane at this place among all pairs of components."""
    return theme.runs[place % len(theme.runs)], PLANE_SYMBOLS[place % len(PLANE_SYMBOLS)]


def blend(colour: str, ground: str, share: float) -> str:
    """``share`` of the colour over the ground, both #rrggbb, opaque."""
    over, under = ([int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (colour, ground))
    mixed = (round(share * a + (1 - share) * b) for a, b in zip(over, under, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def css_variables() -> str:
    """The style as CSS custom properties; they inherit into every component below ``[data-theme]``."""
    common = [
        f"--font: {FONT};",
        f"--mono: {MONO};",
        f"--radius: {RADIUS}px;",
        f"--strength: {TOKEN_STRENGTH}%;",
    ]
    common += [f"--size-{name}: {size}px;" for name, size in SIZES.items()]
    common += [f"--space-{name}: {size}px;" for name, size in SPACES.items()]
    blocks = [".theme { " + " ".join(common) + " }"]
    for name, theme in THEMES.items():
        roles = []
        for role, value in theme._asdict().items():
            if isinstance(value, str):
                roles.append(f"--{role.replace('_', '-')}: {value};")
            else:
                roles += [f"--{role}-{i}: {shade};" for i, shade in enumerate(value)]
        blocks.append(f'.theme[data-theme="{name}"] {{ color-scheme: {name}; {" ".join(roles)} }}')
    return "\n".join(blocks)
