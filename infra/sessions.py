"""Creates AWS sessions cheaply, because all sessions of this process share the parsed models of botocore."""

from functools import cache
from typing import Any

import boto3
from botocore.loaders import Loader, create_loader
from botocore.session import Session as Core


def session(**options: Any) -> boto3.session.Session:
    """Create a boto3 session with the options of `boto3.session.Session`.

    An ordinary session parses the models of the services again, which takes 0.1 to 0.3 s of CPU time for its first
    client.
    """
    return boto3.session.Session(botocore_session=core(), **options)


def core() -> Core:
    """Create a botocore session that shares the parsed models."""
    botocore_session = Core()
    botocore_session.register_component("data_loader", _models())
    return botocore_session


@cache
def _models() -> Loader:
    """Return the shared cache of parsed models. It is safe if two threads read the same model at once."""
    return create_loader()
