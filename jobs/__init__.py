"""Work that outlives the page that started it: job records, engines and what their processes do.

`LocalEngine` runs swarms on this machine. Pages use it; the command line finds it by its entry point.
"""

from jobs.local import LocalEngine
from jobs.record import JobFolder

__all__ = ["JobFolder", "LocalEngine"]
