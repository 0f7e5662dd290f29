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
    """Within what share of the cheapest cost a map is, and whether it reaches the target.

    Printed, it says so in one sentence, with the figures below. Read ``share_upper`` beside ``energy_distance`` and ``noise_floor``: a map can be cheap and
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
    def dual_value(self) -> Optional[float]:
        """A lower bound of the optimal cost, up to sampling and search."""
        return self._number("value", "dual")

    @property
    def energy_distance(self) -> Tuple[Optional[float], Optional[float]]:
        """Of the pushed points to the target, and of the pulled ones to the source."""
        return self._both("energy_distance")

    @property
    def noise_floor(self) -> Tuple[Optional[float], Optional[float]]:
        """What chance alone shows of :attr:`energy_distance`, at 95 %."""
        return self._both("noise_floor")

    def _number(self, part: str, name: str) -> Optional[float]:
        value = self._data[part][name]
        return None if value is None else float(value)

    def _both(self, name: str) -> Tuple[Optional[float], Optional[float]]:
        sides = (self._data["forward"], self._data["backward"])
        first, second = (None if s is None else s[name] for s in sides)
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
            ("chance alone shows up to", self.noise_floor),
        ):
            both = value if isinstance(value, tuple) else (value,)
            numbers = ", ".join("-" if v is None else f"{v:.3g}" for v in both)
            lines.append(f"{title}: {numbers}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Certificate, {self.verdict}: {self.sentence}>"


class Evaluation(_Record):
    """A map beside the best linear one, the constant one and the identity: mismatch, transport cost, cycle errors, and the certificate."""

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
