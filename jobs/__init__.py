"""Work that outlives the page that started it: job records, engines and what their processes do.

`LocalEngine` runs swarms on this machine. Pages use it; the command line finds it by its entry point.
Tasks are work on the corpus: reading sources, applying a filter, measuring with a model.
"""

from jobs.local import LocalEngine
from jobs.record import JobFolder
from jobs.tasks import (
    FilterTask,
    IngestTask,
    MeasureTask,
    Task,
    TaskKind,
    TaskStatus,
    cancel_task,
    resume_task,
    submit_task,
    task_jobs,
    task_status,
)

__all__ = [
    "FilterTask",
    "IngestTask",
    "JobFolder",
    "LocalEngine",
    "MeasureTask",
    "Task",
    "TaskKind",
    "TaskStatus",
    "cancel_task",
    "resume_task",
    "submit_task",
    "task_jobs",
    "task_status",
]
