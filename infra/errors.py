"""What the commands report in one line."""


class CloudError(Exception):
    """The embedded cloud or a deployment cannot go on; the message says why and, where known, what to do."""
