"""Declares how many attempts a load has, and the error of a load that is given up after its last attempt.

Two modules give up loads: `ingest.failures` when the last attempt fails, and `abandoned` if no worker will begin
another attempt.
"""

MAX_ATTEMPTS = 3  # Lambda delivers an asynchronous event once and retries twice
GAVE_UP = f"gave up after {MAX_ATTEMPTS} attempts"
# The assignments of an SQL statement that reopens a load.
OPENED_AGAIN = "status = 'queued', attempts = 0, queued_at = now(), finished_at = NULL, error = NULL, given_up = false"
