"""AWS sessions that are cheap to make: all of this process share what botocore parses."""

from functools import cache
from typing import Any

import boto3
from botocore.loaders import Loader, create_loader
from botocore.session import Session as Core


def session(**options: Any) -> boto3.session.Session:
    """A session of boto3, by the options of `boto3.session.Session`.

    A plain one parses the models of the services anew, which takes 0.1 to 0.3 s of CPU time for its first client.
    """
    return boto3.session.Session(botocore_session=core(), **options)


def core() -> Core:
    """The session of botocore inside a new session."""
    made = Core()
    made.register_component("data_loader", _models())
    return made


@cache
def _models() -> Loader:
    """It keeps what it has read. Two threads that read the same file at once both get a whole model."""
    return create_loader()
