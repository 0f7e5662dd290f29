"""A bar while a fit runs: tqdm's where it is installed, a line of our own otherwise."""

from __future__ import annotations

import sys
import time
from typing import Any, Optional


def _is_watched() -> bool:
    """Whether someone is likely to look: a terminal, or a notebook."""
    if "ipykernel" in sys.modules:
        return True
    return bool(getattr(sys.stderr, "isatty", lambda: False)())


class Progress:
    """Called by the fit; a context so that the bar is closed however the fit ends."""

    def __init__(self, wanted: Optional[bool]) -> None:
        self.shown = _is_watched() if wanted is None else bool(wanted)
        self.bar: Any = None
        self.line = 0.0
        self.dirty = False

    def __enter__(self) -> Optional["Progress"]:
        return self if self.shown else None

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.dirty:
            print(file=sys.stderr)

    def __call__(
        self,
        step: int,
        steps: int,
        seconds: float,
        loss: Optional[float],
        held_out: Optional[float],
    ) -> None:
        """``seconds`` are of this session, ``held_out`` is the score on held-out points where one was just taken."""
        if self.bar is None and not self.dirty:
            try:
                from tqdm.auto import tqdm

                self.bar = tqdm(
                    total=steps, initial=step, unit="step", desc="charflow", leave=False
                )
            except ImportError:
                pass
        if self.bar is not None:
            self.bar.update(step - self.bar.n)
            if loss is not None:
                self.bar.set_postfix_str(f"loss {loss:.1e}", refresh=False)
            return
        now = time.monotonic()
        if self.dirty and now - self.line < 1.0 and step < steps:
            return
        self.line, self.dirty = now, True
        said = "" if loss is None else f", loss {loss:.1e}"
        print(
            f"\rcharflow: step {step} of {steps}, {seconds:.0f} s{said}  ",
            end="",
            file=sys.stderr,
            flush=True,
        )
