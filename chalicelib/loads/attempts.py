"""The number of attempts of a load, and the error of a load that is given up after the last one.

Two modules give up loads: `ingest.failures` at the end of the last attempt, and `abandoned` if no attempt follows.
"""

MAX_ATTEMPTS = 3  # Lambda delivers an asynchronous event once and retries twice
GAVE_UP = f"gave up after {MAX_ATTEMPTS} attempts"
# SQL: the assignments that reopen a load and give it all its attempts again
OPENED_AGAIN = "status = 'queued', attempts = 0, queued_at = now(), finished_at = NULL, error = NULL, given_up = false"
