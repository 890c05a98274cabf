"""The statuses of a load. A test holds them to chalicelib/loads/outcomes.py."""

FINAL = ("succeeded", "failed", "skipped")
STATUSES = ("queued", "running", *FINAL)
