"""python -m bench.worker: run the functions of app.py as Lambda does, one event at a time.

The worker reads JSON lines {"function", "event"} from its standard input. For each line it runs the function, and
prints a JSON line {"seconds", "peak", "result"}. `seconds` is the time of the handler alone. `peak` is the largest
resident size of this process so far, in MB.
"""

import io
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    responses, sys.stdout = sys.stdout, io.StringIO()  # what handlers print must not mix with the lines of results

    import app

    for line in sys.stdin:
        call = json.loads(line)
        handler: Any = app.app if call["function"] == "api_handler" else getattr(app, call["function"])
        start = time.perf_counter()
        result = handler(call["event"], _Context())
        seconds = time.perf_counter() - start
        responses.write(json.dumps({"seconds": seconds, "peak": _peak(), "result": result}) + "\n")
        responses.flush()


def _peak() -> float:
    """Return the largest resident size in MB. On Linux, getrusage would be wrong: it includes the memory of the parent
    process, from which this process was forked."""
    status = Path("/proc/self/status")
    if status.exists():
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024)  # macOS returns bytes


class _Context:
    aws_request_id = "bench"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:hireflow-bench-ingest"

    def get_remaining_time_in_millis(self) -> int:
        return 900_000


if __name__ == "__main__":
    main()
