"""Work that outlives the page that started it: job records, engines and what their processes do.

`LocalEngine` runs swarms on this machine. Pages use it; the command line finds it by its entry point.
Tasks are what takes longer than a page may wait: reading sources, applying a filter, measuring with a
model, resampling a discovery, testing a graph, comparing estimators, refuting effects.
"""

from jobs.local import LocalEngine
from jobs.record import JobFolder
from jobs.tasks import (
    FilterTask,
    GraphTestTask,
    IngestTask,
    LeaderboardTask,
    MeasureTask,
    RefuteTask,
    StabilityTask,
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
    "GraphTestTask",
    "IngestTask",
    "JobFolder",
    "LeaderboardTask",
    "LocalEngine",
    "MeasureTask",
    "RefuteTask",
    "StabilityTask",
    "Task",
    "TaskKind",
    "TaskStatus",
    "cancel_task",
    "resume_task",
    "submit_task",
    "task_jobs",
    "task_status",
]
