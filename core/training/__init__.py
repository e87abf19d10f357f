"""Training: one stream of steps that can be stopped anywhere and goes on exactly.

    result = fit(model, objective, data, TrainingConfig(steps=1000), Path("run"), bundle_writer=..., ...)

`core.training.config.TrainingConfig` is the recipe, `core.training.fit.fit` does the work. This file imports neither
torch nor Lightning.
"""

from __future__ import annotations
