"""What every picture of the pages shares: axes, marks, and a chart with its title, description and data.

Drawn by the server as SVG. Colours are classes of the style sheet, so that light and dark are one drawing; a file of
its own carries the light ones. Different things differ in shape or place too, never in colour alone.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from django.utils.safestring import SafeString, mark_safe

WIDTH, HEIGHT = 440, 290
LEFT, RIGHT, TOP, BOTTOM = 50, 14, 26, 42
COLOURS = ("#0b7a5e", "#c2410c", "#2563b0", "#9333a8", "#a16207", "#be185d", "#4d5b66", "#0e7490")
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#55635c}.grid{stroke:#dfe3dd}.rule{stroke:#55635c;stroke-dasharray:4 3}"
    ".line{fill:none;stroke-width:2}.centre{fill:#fff;stroke:#17211d;stroke-width:2}.whisker{stroke:#17211d}"
    ".marks{fill-opacity:.65}.value{fill:#17211d}"
    + "".join(f".c{i}{{fill:{colour}}}.line.c{i}{{stroke:{colour};fill:none}}" for i, colour in enumerate(COLOURS))
)
# One subpath a point: circle, square, triangle, diamond, triangle on its head, cross.
MARKS = (
    "m-2.8 0a2.8 2.8 0 1 0 5.6 0a2.8 2.8 0 1 0-5.6 0z",
    "m-2.5-2.5h5v5h-5z",
    "m0-3.4l3.2 5.6h-6.4z",
    "m0-3.6l3.4 3.6l-3.4 3.6l-3.4-3.6z",
    "m0 3.4l3.2-5.6h-6.4z",
    "m-1-3.2h2v2.2h2.2v2h-2.2v2.2h-2v-2.2h-2.2v-2h2.2z",
)
SUFFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Chart:
    """A picture. `name` is a slug, once a page; `header` and `rows` are the data that it was drawn from."""

    name: str
    title: str
    description: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    body: str
    note: str = ""  # what was left out of the drawing, and how it was chosen
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def svg(self) -> SafeString:
        return mark_safe(self._svg(""))

    @property
    def document(self) -> str:
        """The picture as a file of its own, in the light colours on white."""
        style = f'<style>{STYLE}</style><rect width="{self.width:g}" height="{self.height:g}" fill="#fff"/>'
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{self._svg(style)}\n'

    def _svg(self, before: str) -> str:
        ids = f"{self.name}-title {self.name}-desc"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-labelledby="{ids}"><title id="{self.name}-title">{escape(self.title)}</title>'
            f'<desc id="{self.name}-desc">{escape(self.description)}</desc>{before}{self.body}</svg>'
        )


def short(value: float) -> str:
    """A number for an axis: 0.25, 1,200 → "1.2k", 3e9 → "3G", 1e-7 → "1e-07"."""
    size = abs(value)
    if size >= 1e12 or 0 < size < 1e-3:
        return f"{value:.2g}"
    for factor, suffix in SUFFIXES:
        if size >= factor:
            return f"{value / factor:.4g}{suffix}"
    return f"{value:.3g}"


def clip(text: str, width: int) -> str:
    """`text` in at most `width` characters, its middle given up first: long names often differ only at their end."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return text[: width - 1 - end] + "…" + (text[-end:] if end else "")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` round numbers from at most `low` to at least `high`, equally far apart."""
    step = _round_up((high - low) / max(count - 1, 1))
    first = math.floor(low / step + 1e-9)
    last = math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def _round_up(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough * (1 - 1e-9))


@dataclass
class Axis:
    """A scale that holds all values with a little room, and the round numbers that are written on it."""

    values: Iterable[float]
    label: str = ""
    zero: bool = False  # whether 0 must be on it
    count: int = 5
    at: list[float] = field(init=False)

    def __post_init__(self) -> None:
        finite = [value for value in self.values if math.isfinite(value)] or [0.0, 1.0]
        low, high = min(finite), max(finite)
        if self.zero:
            low, high = min(low, 0.0), max(high, 0.0)
        if not high - low > 1e-12 * max(abs(low), abs(high)):
            low, high = (low - abs(low) / 2 or -1.0, high + abs(high) / 2 or 1.0)
            if self.zero and min(finite) >= 0:
                low = 0.0
        room = 0.04 * (high - low)
        self.low = low if self.zero and low == 0 else low - room
        self.high = high if self.zero and high == 0 else high + room
        self.at = [value for value in ticks(low, high, self.count) if self.low <= value <= self.high]

    def share(self, value: float) -> float:
        return (value - self.low) / (self.high - self.low)


@dataclass
class Frame:
    """Where the axes lie; its methods answer pieces of SVG, and places in it."""

    x: Axis
    y: Axis
    top: float = TOP
    left: float = LEFT
    width: float = WIDTH
    height: float = HEIGHT

    def across(self, value: float) -> float:
        return self.left + (self.width - self.left - RIGHT) * self.x.share(value)

    def down(self, value: float) -> float:
        return self.top + (self.height - self.top - BOTTOM) * (1 - self.y.share(value))

    def grid(self, *, x_ticks: bool = True) -> str:
        end, bottom = self.width - RIGHT, self.height - BOTTOM
        parts = []
        for value in self.y.at:
            y = self.down(value)
            parts.append(f'<path class="grid" d="M{self.left:.1f} {y:.1f}H{end:.1f}"/>')
            parts.append(text(self.left - 7, y + 3.5, short(value), "end"))
        for value in self.x.at if x_ticks else ():
            parts.append(text(self.across(value), bottom + 15, short(value), "middle"))
        parts.append(text((self.left + end) / 2, self.height - 8, self.x.label, "middle"))
        parts.append(text(4, self.top - 12, self.y.label, "start"))
        return "".join(parts)

    def marks(self, points: Iterable[tuple[float, float]], number: int) -> str:
        """One mark a point; `number` says which colour and shape."""
        mark = MARKS[number % len(MARKS)]
        places = "".join(f"M{self.across(x):.1f} {self.down(y):.1f}{mark}" for x, y in points)
        return f'<path class="marks c{number % len(COLOURS)}" d="{places}"/>' if places else ""

    def line(self, points: Sequence[tuple[float, float]], number: int = 0, *, steps: bool = False) -> str:
        if not points:
            return ""
        places = [(self.across(x), self.down(y)) for x, y in points]
        path = f"M{places[0][0]:.1f} {places[0][1]:.1f}"
        path += "".join(f"H{x:.1f}V{y:.1f}" if steps else f"L{x:.1f} {y:.1f}" for x, y in places[1:])
        return f'<path class="line c{number % len(COLOURS)}" d="{path}"/>'

    def rule(self, start: tuple[float, float], end: tuple[float, float]) -> str:
        """A dashed line that the data are held against."""
        (a, b), (c, d) = start, end
        return (
            f'<path class="rule" d="M{self.across(a):.1f} {self.down(b):.1f}L{self.across(c):.1f} {self.down(d):.1f}"/>'
        )


def text(x: float, y: float, content: str, anchor: str, css: str = "") -> str:
    name = f' class="{css}"' if css else ""
    return f'<text{name} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(content)}</text>' if content else ""


def legend(names: Sequence[str], y: float, *, marks: bool = True) -> tuple[str, float]:
    """A line or more of names beside their marks, and the height that they take."""
    x, parts, row = float(LEFT), [], 0
    for number, name in enumerate(names):
        shown = clip(name, 24)
        needed = 18 + 6.2 * len(shown)
        if x + needed > WIDTH - RIGHT and x > LEFT:
            x, row = float(LEFT), row + 1
        at = y + 15 * row
        shape = f"{MARKS[number % len(MARKS)]}" if marks else "m-4-1.5h8v3h-8z"
        parts.append(f'<path class="c{number % len(COLOURS)}" d="M{x + 4:.1f} {at:.1f}{shape}"/>')
        parts.append(text(x + 12, at + 3.8, shown, "start"))
        x += needed + 8
    return "".join(parts), 15.0 * (row + 1) if names else 0.0
