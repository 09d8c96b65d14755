"""Event files: one JSON object per line, appended to by several processes and read again and again.

Who watches a job reads its events every second, for hours. So what was read once is remembered, and only
what was appended since is read again.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.disk import full_disk_in_words

REMEMBERED = 64
"""Files of which what was read is remembered."""


@dataclass
class _Read:
    """What was read of a file: which file that was, up to which byte, and the events in it."""

    file: tuple[int, int]
    end: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)


_read: OrderedDict[Path, _Read] = OrderedDict()
_lock = threading.Lock()


def append_line(path: Path, line: bytes) -> None:
    """Append a line in one write, so that lines of several processes do not mix.

    Raises:
        DiskFullError: there is no room for it; a part of it may have been written.
    """
    with full_disk_in_words(path), path.open("ab", buffering=0) as file:
        if file.write(line) < len(line):  # a disk that fills up takes a part first
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events so far; what is no JSON is left out, a last line without an end is left for later.

    The list is the caller's, the events in it are not to be changed.
    """
    with _lock:
        try:
            with path.open("rb") as file:
                about = os.fstat(file.fileno())
                known = _read.pop(path, None)
                if known is None or known.file != (about.st_dev, about.st_ino) or about.st_size < known.end:
                    known = _Read((about.st_dev, about.st_ino))
                file.seek(known.end)
                content = file.read(about.st_size - known.end)
        except FileNotFoundError:
            return []
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            try:
                known.events.append(json.loads(line))
            except ValueError:
                continue
        known.end += len(whole)
        _read[path] = known
        while len(_read) > REMEMBERED:
            _read.popitem(last=False)
        return list(known.events)
