"""The launcher `inprocess`: the blocks one after the other, here."""

from __future__ import annotations

from core.errors import IntegrityError
from core.prediction.block import BlockRunner
from core.prediction.launch import Work


def run(work: Work) -> None:
    if not work.todo:
        return
    runner = BlockRunner(work.job.plan, work.opened or work.job.open(), between=work.stop.check)
    for index in work.todo:
        work.stop.check()
        try:
            runner.run(index)
        except IntegrityError as error:
            work.damaged(index, error.message)
        else:
            work.done(index)
