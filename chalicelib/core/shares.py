"""Divides the connections of the database between files, the API and the other functions.

Each running instance of a function holds one connection. The deployment limits the concurrency of the functions by
these numbers, and the API also counts its connections (`cloud.purposes`).
"""

FILES = 20  # loads at the same time; further loads would only wait for locks and for the CPU of the database
OF_OTHERS = 2  # instances of each other function; a schedule may start a second one while the first one still runs
# How many functions besides `ingest` and the API log in with the database role of the functions. `migrate` does not:
# it logs in as the database owner. `verify` reads only S3.
OTHERS = 6


def of_files_and_api(connections: int, others: int) -> tuple[int, int]:
    """Return how many connections files and the API may have. `others` is the number of other functions that connect to
    the database. Both numbers are 0 if there are too few connections.

    All functions together stay below the number of connections.
    """
    free = max(connections - 1 - OF_OTHERS * others, 0)
    files = min(FILES, free // 2)
    return files, free - files


def of_api(connections: int) -> int:
    """Return how many connections the API may have at most. At least two fifths of the connections are for the API."""
    _, api = of_files_and_api(connections, OTHERS)
    return max(api, 2 * connections // 5, 1)
