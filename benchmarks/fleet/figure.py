"""A figure and what it should be."""

from msgspec import Struct


class Figure(Struct, frozen=True, kw_only=True):
    """One number.

    Attributes:
        name: what it is.
        unit: of it; empty for counts.
        value: what was measured.
        exactly, most: what it should be; None where nothing is promised.
    """

    name: str
    unit: str = ""
    value: float | int
    exactly: int | None = None
    most: float | None = None

    @property
    def kept(self) -> bool:
        """Whether it is as it should be."""
        if self.exactly is not None and self.value != self.exactly:
            return False
        return self.most is None or self.value <= self.most


def rank(samples: list[float], share: float) -> float:
    """The percentile (nearest rank)."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def milliseconds(name: str, samples_s: list[float], share: float, most: float | None = None) -> Figure:
    """A percentile of durations."""
    return Figure(name=name, unit="ms", value=round(rank(samples_s, share) * 1000, 2), most=most)
