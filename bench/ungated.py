"""python -m bench.ungated FOLDER: run the embedded AWS without its gate, for comparison.

The process runs in the virtual environment of the embedded AWS. It runs only during a measurement, and listens only on
127.0.0.1, because without the gate every program on this machine can use it.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from infra.local.front import Front
from infra.local.gate.credentials import Keys


def main() -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    keys = Keys.kept(Path(sys.argv[1]))
    os.environ.update(keys.env())
    from ministack.app import app

    bind = f"127.0.0.1:{os.environ['GATEWAY_PORT']}"
    config = Config()
    config.bind, config.accesslog, config.errorlog = [bind], None, "-"
    serving: Any = serve
    asyncio.run(serving(Front(app, f"http://{bind}", keys), config))


if __name__ == "__main__":
    main()
