"""The launcher `inprocess`: the blocks one after the other, here."""

from __future__ import annotations

from core.errors import IntegrityError
from core.launch import Work


def run(work: Work) -> None:
    if not work.todo:
        return
    runner = (work.open_here or work.job.open_runner)(work.stop.check)
    for index in work.todo:
        work.stop.check()
        try:
            runner.run(index)
        except IntegrityError as error:
            work.damaged(index, error.message)
        else:
            work.done(index)
