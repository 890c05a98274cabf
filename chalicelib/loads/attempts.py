"""How often a load is tried, and what is said of one that is given up after that.

Two places give loads up: `ingest.failures` at the end of the last attempt, and `abandoned` if no attempt follows.
"""

MAX_ATTEMPTS = 3  # Lambda delivers an asynchronous event once and retries twice
GAVE_UP = f"gave up after {MAX_ATTEMPTS} attempts"
