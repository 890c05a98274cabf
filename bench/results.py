"""Writes the results of the measurements as a table, as JSON and as an SVG picture."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from xml.sax.saxutils import escape


@dataclass(frozen=True)
class Result:
    """Samples of some work and samples of its limit. They were measured alternately, in the unit `unit`.

    `goal` is the largest allowed ratio of the two medians, work to limit. If `at_least` is true, `goal` is the smallest
    allowed ratio.
    """

    work: str
    limit: str
    samples: Sequence[float]
    limit_samples: Sequence[float]
    goal: float | None = None
    at_least: bool = False
    unit: str = "s"

    @property
    def value(self) -> float:
        return median(self.samples)

    @property
    def limit_value(self) -> float:
        return median(self.limit_samples)

    @property
    def ratio(self) -> float:
        return self.value / self.limit_value

    @property
    def spread(self) -> tuple[float, float]:
        """Return the smallest and the largest ratio of a sample of the work to the sample of the limit measured beside
        it."""
        ratios = [a / b for a, b in zip(self.samples, self.limit_samples, strict=False)]
        return min(ratios), max(ratios)

    @property
    def met(self) -> bool | None:
        """Return whether the goal is met, or None if there is no goal."""
        if self.goal is None:
            return None
        return self.ratio >= self.goal if self.at_least else self.ratio <= self.goal

    def to_dict(self) -> dict[str, Any]:
        return {
            "work": self.work,
            "limit": self.limit,
            "unit": self.unit,
            "seconds": round(self.value, 6),
            "limit_seconds": round(self.limit_value, 6),
            "ratio": round(self.ratio, 3),
            "spread": [round(ratio, 3) for ratio in self.spread],
            "goal": None if self.goal is None else f"{'>=' if self.at_least else '<='} {self.goal}",
            "met": self.met,
        }


def machine(postgres: str) -> dict[str, Any]:
    """Return a description of this machine. `postgres` is the version of the server."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "postgres": postgres,
    }


def line(result: Result) -> str:
    """Return a result as a row of the printed table. HEAD is the heading of this table."""
    low, high = result.spread
    goal = "" if result.goal is None else f"{'>=' if result.at_least else '<='} {result.goal:g}"
    verdict = {None: "", True: "met", False: "MISSED"}[result.met]
    values = f"{_shown(result.value, result.unit):>11} {_shown(result.limit_value, result.unit):>11}"
    ratios = f"{result.ratio:>6.2f} {low:>5.2f}-{high:<5.2f}"
    return f"{result.work[:46]:<46} {result.limit[:28]:<28} {values} {ratios} {goal:<8} {verdict}"


HEAD = f"{'work':<46} {'limit':<28} {'median':>11} {'its median':>11} {'ratio':>6} {'spread':<11} {'goal':<8}"


def _shown(value: float, unit: str) -> str:
    return f"{value * 1000:.1f} ms" if unit == "s" and value < 0.1 else f"{value:.2f} {unit}"


def write_json(path: Path, about: dict[str, Any], results: Sequence[Result]) -> None:
    path.write_text(json.dumps({"machine": about, "results": [r.to_dict() for r in results]}, indent=2) + "\n")


_ROW, _LEFT, _WIDTH, _SCALE = 24, 430, 900, 80  # pixels; _SCALE is the length of a bar for the ratio 1


def write_svg(path: Path, title: str, results: Sequence[Result]) -> None:
    """Draw each ratio as a bar, and each goal as a mark on the bar. A bar that is longer than the picture is cut
    off."""
    rows = []
    for number, result in enumerate(results):
        y = 50 + number * _ROW
        length = min(result.ratio * _SCALE, _WIDTH - _LEFT - 60)
        name = escape(f"{result.work} / {result.limit}")
        rows.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{name}</text>')
        rows.append(f'<rect x="{_LEFT}" y="{y + 2}" width="{length:.0f}" height="14" class="{_class(result)}"/>')
        rows.append(f'<text x="{_WIDTH - 10}" y="{y + 13}" text-anchor="end">{result.ratio:.2f}</text>')
        if result.goal is not None:
            x = _LEFT + min(result.goal * _SCALE, _WIDTH - _LEFT - 60)
            rows.append(f'<path d="M{x:.0f} {y}v18"/>')
    height = 60 + len(results) * _ROW
    style = (
        "text{fill:#1f2328}rect{fill:#1a7f37}.missed{fill:#bc4c00}.free{fill:#57606a}"
        "path{stroke:#1f2328;stroke-width:2}"
        "@media (prefers-color-scheme:dark){text{fill:#e6edf3}path{stroke:#e6edf3}}"
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"'
        f' aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">\n<style>{style}</style>\n'
        f'<text x="10" y="22" font-size="14">{escape(title)}</text>\n' + "\n".join(rows) + "\n</svg>\n"
    )


def _class(result: Result) -> str:
    return {None: "free", True: "met", False: "missed"}[result.met]
