import pytest

from core.errors import IntegrityError
from core.training.config import TrainingConfig
from core.training.plan import Situation, make_plan

SHAPES = {"model.weight": [3, 2]}


def situation(precision="fp32", tokens_per_step=100.0, steps_per_second=2.0, shapes=SHAPES):
    return Situation(precision, shapes, lambda: tokens_per_step, lambda seconds: (int(seconds * steps_per_second), 20))


def test_a_plan_fills_in_what_the_recipe_leaves_open_and_is_read_back(tmp_path):
    plan = make_plan(tmp_path / "plan.json", TrainingConfig(minutes=1), situation("bf16"))
    assert (plan.steps, plan.val_every, plan.save_every, plan.precision) == (120, 6, 12, "bf16")
    slower = situation("fp32", steps_per_second=1.0)
    assert make_plan(tmp_path / "plan.json", TrainingConfig(minutes=1), slower) == plan


@pytest.mark.parametrize(
    "budget,steps", [({"steps": 7}, 7), ({"tokens": 1001}, 11), ({"minutes": 0.5}, 60), ({"minutes": 1e-9}, 1)]
)
def test_every_budget_is_a_number_of_steps(tmp_path, budget, steps):
    plan = make_plan(tmp_path / "plan.json", TrainingConfig(**budget), situation())
    assert plan.steps == steps
    assert plan.validates(steps)
    assert plan.saves(steps)
    assert not plan.validates(0)


@pytest.mark.parametrize("kind,end", [("steps", 100), ("tokens", 10_000), ("minutes", 10)])
def test_a_later_end_stretches_the_plan_and_keeps_its_intervals(tmp_path, kind, end):
    first = make_plan(tmp_path / "plan.json", TrainingConfig(**{kind: end}), situation())
    later = make_plan(tmp_path / "plan.json", TrainingConfig(**{kind: 3 * end}), situation())
    assert later.steps == 3 * first.steps
    assert (later.val_every, later.save_every) == (first.val_every, first.save_every)
    with pytest.raises(IntegrityError, match=f"training.{kind}"):
        make_plan(tmp_path / "plan.json", TrainingConfig(**{kind: end}), situation())


def test_logger_and_device_may_change_and_nothing_else(tmp_path):
    make_plan(tmp_path / "plan.json", TrainingConfig(steps=5), situation())
    make_plan(tmp_path / "plan.json", TrainingConfig(steps=5, logger="tensorboard", device="cpu"), situation())
    with pytest.raises(IntegrityError, match=r"training\.seed: 0 -> 1"):
        make_plan(tmp_path / "plan.json", TrainingConfig(steps=5, seed=1), situation())
    with pytest.raises(IntegrityError, match=r"training\.minutes"):
        make_plan(tmp_path / "plan.json", TrainingConfig(minutes=5), situation())
    with pytest.raises(IntegrityError, match=r"parameters\.model\.weight: \[3, 2\] -> \[3, 3\]"):
        make_plan(tmp_path / "plan.json", TrainingConfig(steps=5), situation(shapes={"model.weight": [3, 3]}))


def test_a_damaged_plan_is_an_integrity_error(tmp_path):
    for text in ("{", '{"steps": 3}'):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(IntegrityError, match=r"plan\.json"):
            make_plan(tmp_path / "plan.json", TrainingConfig(steps=5), situation())
