"""What the commands report in one line."""

from cli.errors import CommandError


class CloudError(CommandError):
    """The embedded cloud or a deployment cannot go on; the message says why and, where known, what to do."""
