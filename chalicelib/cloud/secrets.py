"""Secrets Manager and IAM, for stages that log in to the database with what these know."""

from functools import cache
from typing import Any

from chalicelib.core.errors import DatabaseUnavailable


def text(name: str) -> str:
    """The current value of a secret. Raises DatabaseUnavailable: all that we keep secret leads there."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "max_attempts": 2})
    try:
        return str(boto3.client("secretsmanager", config=config).get_secret_value(SecretId=name)["SecretString"])
    except (BotoCoreError, ClientError) as error:
        raise DatabaseUnavailable("the secret of the database cannot be read") from error


def token(host: str, port: int, user: str) -> str:
    """What RDS takes for a password within the next 15 minutes. It is signed here, nobody is asked.

    Raises DatabaseUnavailable where there are no credentials to sign it with.
    """
    from botocore.exceptions import BotoCoreError

    try:
        return str(_rds().generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user))
    except BotoCoreError as error:
        raise DatabaseUnavailable("no token for the database can be signed") from error


@cache
def _rds() -> Any:
    """Reading the service's model takes longer than all that is done with it."""
    import boto3

    return boto3.client("rds")
