"""Judges whether the measures of a stage stay flat, by comparing the last third of the samples with the first third."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Sample = Mapping[str, float]


@dataclass(frozen=True)
class Bound:
    """Says how much a measure may grow. Its median in the last third of a run may be at most `factor` times its median
    in the first third, plus `allowance`.

    A measure may also grow with others: by `each` for each unit by which the measures grow whose names begin with `of`.

    If `grows` is not empty, the measure has to grow, and `grows` says why. Such a measure is shown but not judged.
    """

    factor: float = 1.1
    allowance: float = 0.0
    each: float = 0.0
    of: str = ""
    grows: str = ""


@dataclass(frozen=True)
class Verdict:
    """Has the median of a measure in the first and in the last third of a run. `others` is by how much those measures
    grew with which it may grow. `flat` is None if the measure has to grow."""

    measure: str
    first: float
    last: float
    bound: Bound
    others: float = 0.0

    @property
    def flat(self) -> bool | None:
        if self.bound.grows:
            return None
        allowed = self.bound.allowance + self.bound.each * self.others
        return self.last <= self.first * self.bound.factor + allowed

    def line(self) -> str:
        """Return the verdict as a row of a table with the heading HEAD."""
        verdict = self.bound.grows if self.flat is None else "flat" if self.flat else "GROWS"
        return (
            f"{self.measure:<44} {self.first:>12,.1f} {self.last:>12,.1f} {self.last - self.first:>+12,.1f}  {verdict}"
        )


USUAL_SECONDS = 1800  # the length of a run whose first third is no longer a warm-up
HEAD = f"{'measure':<44} {'first third':>12} {'last third':>12} {'change':>12}"


def verdicts(samples: Sequence[Sample], bounds: Mapping[str, Bound], usual: Bound) -> list[Verdict]:
    """Judge every measure of the samples. A measure that a sample lacks counts as 0. The bound of a measure is the one
    of the longest prefix of its name in `bounds`, or `usual`.

    Raises ValueError if there are fewer than six samples.
    """
    if len(samples) < 6:
        raise ValueError(f"{len(samples)} samples are too few to judge: run the soak longer")
    third = len(samples) // 3
    first, last = samples[:third], samples[-third:]
    names = sorted({name for sample in samples for name in sample})
    growth = {name: _median(last, name) - _median(first, name) for name in names}

    def judged(name: str) -> Verdict:
        bound = _bound(name, bounds, usual)
        others = sum(growth[other] for other in names if bound.of and other.startswith(bound.of))
        return Verdict(name, _median(first, name), _median(last, name), bound, max(others, 0.0))

    return [judged(name) for name in names]


def conclusion(growing: Sequence[str], seconds: int) -> str:
    """Return the last line of a run of so many `seconds`. `growing` names the measures that are not flat."""
    if not growing:
        return "everything that must stay flat is flat"
    found = f"not flat: {', '.join(growing)}"
    if seconds >= USUAL_SECONDS:
        return found
    return f"{found}; workers may still have been starting in this short run: run it again without SECONDS"


def _median(samples: Sequence[Sample], name: str) -> float:
    return median(sample.get(name, 0.0) for sample in samples)


def _bound(name: str, bounds: Mapping[str, Bound], usual: Bound) -> Bound:
    matching = [prefix for prefix in bounds if name.startswith(prefix)]
    return bounds[max(matching, key=len)] if matching else usual
