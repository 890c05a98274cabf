"""The statuses of a load. A test compares the final statuses with chalicelib/loads/outcomes.py."""

FINAL = ("succeeded", "failed", "skipped")
STATUSES = ("queued", "running", *FINAL)
