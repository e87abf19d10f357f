"""Blocks whose rows cannot be read: the others are done first, then these are told, each with its rows."""

from __future__ import annotations

from core.errors import IntegrityError
from core.prediction.plan import PredictionPlan

SHOWN = 10
"""Damaged blocks that a message lists."""


class Damage:
    """What was found damaged while blocks were run."""

    def __init__(self, plan: PredictionPlan) -> None:
        self.plan = plan
        self.found: dict[int, str] = {}

    def add(self, block: int, message: str) -> None:
        self.found[block] = message

    def tell(self) -> None:
        """Raises IntegrityError where anything was found."""
        if not self.found:
            return
        lines = []
        for block, message in sorted(self.found.items())[:SHOWN]:
            start, stop = self.plan.block(block)
            lines.append(f"  block {block}, rows {start:,} to {stop - 1:,}: {message}")
        if len(self.found) > SHOWN:
            lines.append(f"  and {len(self.found) - SHOWN:,} more")
        hint = "Mend or make anew what is damaged, then give the same command again; it does what is missing."
        if self.plan.identity["input"].get("kind") == "arrays":  # whose files' sha256 are part of the plan
            hint = "Put the files back as they were and give the same command again; mended ones need a new output."
        raise IntegrityError(
            f"{len(self.found)} of {self.plan.n_blocks} blocks of {self.plan.output} could not be made; "
            f"all others are there:\n" + "\n".join(lines),
            hint=hint,
        )
