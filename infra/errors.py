"""Errors that the commands print in one line."""

from cli.errors import CommandError


class CloudError(CommandError):
    """A command on the embedded cloud or a deployment failed. The message says why and, if known, what to do."""
