"""The names of what a head says; that a prediction store has it is shown in tests/core/finetuning/test_run.py."""

from core.finetuning.head import Head, HeadConfig
from core.prediction.labels import PREFIXES, columns, outputs


def head(task, names, pooling="mean"):
    return Head(HeadConfig(task, ("label",), names, True, 4, pooling))


def test_a_column_for_each_class_whatever_it_is_called():
    found = columns(head("classify", ("A+", "A-", "in vivo", "日")))
    assert [name for name, _, _ in found] == [
        "probability_A", "probability_A_1", "probability_in_vivo", "probability_3",
    ]  # fmt: skip
    assert [number for _, _, number in found] == [0, 1, 2, 3]
    assert all(name.startswith(PREFIXES) for name, _, _ in found)


def test_numbers_have_an_interval_and_tokens_a_value_each():
    numbers = outputs(head("regress", ("logd",)))
    assert [o.name for o in numbers] == ["mean_logd", "deviation_logd", "low_logd", "high_logd"]
    assert not any(o.ragged for o in numbers)
    assert all(o.ragged and o.dims == ("token",) for o in outputs(head("classify", ("0", "1"), "token")))
