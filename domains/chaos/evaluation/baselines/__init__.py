"""What a sceptic tries first, from doing nothing to cubic regression; fitted on train, chosen on validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from domains.chaos.evaluation.baselines.analogues import fit_nearest_neighbour, fit_parroting, fit_persistence
from domains.chaos.evaluation.baselines.material import Forecaster, Material
from domains.chaos.evaluation.baselines.regressions import fit_nvar, fit_var
from domains.chaos.evaluation.baselines.reservoir import fit_esn

__all__ = ["BASELINES", "CONTEXT_ONLY", "Forecaster", "Material"]

BASELINES: Mapping[str, Callable[[Material], Forecaster]] = {
    "persistence": fit_persistence,
    "context_parroting": fit_parroting,
    "nearest_neighbour": fit_nearest_neighbour,
    "var": fit_var,
    "esn_500": fit_esn,
    "nvar": fit_nvar,
}
CONTEXT_ONLY = ("persistence", "context_parroting")
"""Those that need no training series of the system: what stands beside a zero-shot forecast."""
