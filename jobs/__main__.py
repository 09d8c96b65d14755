"""`python -m jobs`: the processes of a background job. Started by an engine, not by hand."""

import sys

from jobs.work import main

sys.exit(main(sys.argv[1:]))
