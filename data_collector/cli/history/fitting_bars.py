"""Progress bars that fit on the terminal: those at work are never among what is cut off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.progress import Progress, Task
from rich.text import Text

LINES_KEPT = 2
"""The summary, and the line on which the cursor stands."""


class FittingBars(Progress):
    """As rich's, but with more tasks than lines it shows those at work, then those that come next, and counts the rest.

    A task waits until `start_task`, and is done when it is complete or stopped.
    """

    def get_renderables(self) -> Iterable[RenderableType]:
        tasks = self.tasks
        # rich asks for a first time before there is a console.
        room = max(1, self.console.height - LINES_KEPT) if tasks else 1
        if len(tasks) <= room + 1:
            yield self.make_tasks_table(tasks)
            return
        shown, left_out = _chosen(tasks, room)
        yield self.make_tasks_table(shown)
        yield Text(_summary(left_out), style="progress.remaining", no_wrap=True, overflow="ellipsis")


def _chosen(tasks: Sequence[Task], room: int) -> tuple[list[Task], list[Task]]:
    """Those that have a line, in their own order, and the others."""
    by_worth = sorted(tasks, key=lambda task: (_is_done(task), not task.started))
    worthy = {task.id for task in by_worth[:room]}
    return [task for task in tasks if task.id in worthy], [task for task in tasks if task.id not in worthy]


def _summary(tasks: Sequence[Task]) -> str:
    done = sum(map(_is_done, tasks))
    waiting = sum(not task.started and not _is_done(task) for task in tasks)
    counts = ((len(tasks) - done - waiting, "at work"), (waiting, "waiting"), (done, "done"))
    return f"… and {len(tasks)} more: {', '.join(f'{count} {what}' for count, what in counts if count)}"


def _is_done(task: Task) -> bool:
    return task.finished or task.stop_time is not None
