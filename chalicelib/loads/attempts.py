"""How often a load is tried, and what is said of one that is given up after that.

Two places give loads up: `ingest.failures` at the end of the last attempt, and `abandoned` if no attempt follows.
"""

MAX_ATTEMPTS = 3  # Lambda delivers an asynchronous event once and retries twice
GAVE_UP = f"gave up after {MAX_ATTEMPTS} attempts"
# SQL: the assignments that open a load again, with all its attempts
OPENED_AGAIN = "status = 'queued', attempts = 0, queued_at = now(), finished_at = NULL, error = NULL, given_up = false"
