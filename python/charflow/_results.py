"""How good a map is, as values to print and to take apart."""

from __future__ import annotations

import json
from typing import Any, Dict, Optional, Tuple


class _Record:
    """A part of a report: prints as the command prints it, and is a dictionary inside."""

    def __init__(self, data: Dict[str, Any], text: Optional[str] = None) -> None:
        self._data = data
        self._text = text

    def to_dict(self) -> Dict[str, Any]:
        """Every figure, as in ``report.json``. A number that does not exist is None."""
        copy: Dict[str, Any] = json.loads(json.dumps(self._data))
        return copy

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._data == other._data

    __hash__ = None  # type: ignore[assignment]


class Certificate(_Record):
    """How far above the optimal cost a map is, and whether it reaches the target.

    Printed, it says so in one sentence, with the figures below. Read ``share_upper`` beside ``p_value``, ``energy_distance`` and ``noise_floor``: a map can be cheap and
    not arrive, or arrive and be dear.
    """

    @property
    def verdict(self) -> str:
        """``good``, ``limited``, ``bad`` or ``cannot_say``."""
        return str(self._data["verdict"])

    @property
    def sentence(self) -> str:
        """One sentence to quote."""
        return str(self._data["sentence"])

    @property
    def transport_cost(self) -> Optional[float]:
        """``E l(T(x) - x)``, in the units of the cost."""
        return self._number("optimality", "cost")

    @property
    def slack(self) -> Optional[float]:
        """At most so much is the transport cost above the cheapest way to the points that are reached, in the mean."""
        return self._number("optimality", "slack")

    @property
    def share_upper(self) -> Optional[float]:
        """The slack over the cost, upper bound at 95 % confidence."""
        return self._number("optimality", "share_upper")

    @property
    def share_lower(self) -> Optional[float]:
        """At least this share of the transport cost is avoidable, at 95 % confidence; None if no such bound above zero was found."""
        excess, cost = self._number("optimality", "excess_lower"), self.transport_cost
        return None if excess is None or not cost else excess / cost

    @property
    def searches_missed_upper(self) -> Optional[float]:
        """At most this share of the inner minimisations missed their minimum (95 % confidence); by how much the slack is too small there nobody can say."""
        return self._number("optimality", "search_missed_upper")

    @property
    def backward_share_upper(self) -> Optional[float]:
        """:attr:`share_upper` of the backward map."""
        return self._number("backward_optimality", "share_upper")

    @property
    def uvp_upper(self) -> Optional[float]:
        """At most this L2-UVP (in percent) to the optimal map to the same points, if the potential's curvature stays below what was seen; quadratic cost."""
        return self._number("map_error", "uvp_upper")

    @property
    def w2_lower(self) -> Tuple[Optional[float], Optional[float]]:
        """Lower bounds of W2 between the pushed points and the target, and the pulled ones and the source, at 95 %; None if none above zero was found."""
        return self._both("w2_lower")

    @property
    def p_value(self) -> Tuple[Optional[float], Optional[float]]:
        """Of the two-sample test of the pushed points against the target, and of the pulled ones against the source; with classes, of the worst class, times their number."""
        first, second = (
            None if s is None else (s.get("by_class") or s)["p_value"]
            for s in (self._data["forward"], self._data["backward"])
        )
        return first, second

    @property
    def worst_class(self) -> Tuple[Optional[str], Optional[str]]:
        """The class that is told from its own most clearly, forward and backward; None without classes."""
        first, second = (
            None if s is None or s.get("by_class") is None else s["by_class"]["worst"]
            for s in (self._data["forward"], self._data["backward"])
        )
        return first, second

    @property
    def dual_value(self) -> Optional[float]:
        """A lower bound of the optimal cost, up to sampling and search."""
        return self._number("value", "dual")

    @property
    def energy_distance(self) -> Tuple[Optional[float], Optional[float]]:
        """Of the pushed points to the target, and of the pulled ones to the source."""
        return self._both("energy_distance")

    @property
    def noise_floor(self) -> Tuple[Optional[float], Optional[float]]:
        """What :attr:`energy_distance` exceeds between equal laws in 1 % of all cases, at the same number of points."""
        return self._both("noise_floor")

    def _number(self, part: str, name: str) -> Optional[float]:
        # A report of an earlier version lacks what is newer than it.
        value = (self._data.get(part) or {}).get(name)
        return None if value is None else float(value)

    def _both(self, name: str) -> Tuple[Optional[float], Optional[float]]:
        sides = (self._data["forward"], self._data["backward"])
        first, second = (None if s is None else s.get(name) for s in sides)
        return first, second

    def __str__(self) -> str:
        if self._text:
            return self._text.rstrip()
        # Read from a report, which has no text but that of the sentence.
        lines = [f"{self.sentence}."]
        for title, value in (
            ("slack", self.slack),
            ("slack over the cost, at most", self.share_upper),
            ("cost", self.transport_cost),
            ("dual value", self.dual_value),
            ("energy distance forward, backward", self.energy_distance),
            ("noise floor", self.noise_floor),
            ("p-value", self.p_value),
        ):
            both = value if isinstance(value, tuple) else (value,)
            numbers = ", ".join("-" if v is None else f"{v:.3g}" for v in both)
            lines.append(f"{title}: {numbers}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Certificate, {self.verdict}: {self.sentence}>"


class Evaluation(_Record):
    """A map beside the best linear one, the constant one and the identity: energy distance, transport cost, cycle errors, and the certificate."""

    def __init__(
        self,
        data: Dict[str, Any],
        text: Optional[str] = None,
        certificate: Optional[str] = None,
    ) -> None:
        super().__init__(data, text)
        self._certificate = certificate

    @property
    def certificate(self) -> Certificate:
        """The certificate on the same points."""
        return Certificate(self._data["certificate"], self._certificate)

    @property
    def rows(self) -> Dict[str, Dict[str, Any]]:
        """By map (``charflow``, ``linear``, ``constant``, ``identity``): ``forward`` and ``backward``, each with ``energy_distance``, ``p_value`` and ``cost``."""
        return {row["map"]: row for row in self.to_dict()["rows"]}

    def __str__(self) -> str:
        return self._text.rstrip() if self._text else str(self.certificate)

    def __repr__(self) -> str:
        n, m = self._data["points"]
        return f"<Evaluation on {n} + {m} points: {self.certificate.sentence}>"
