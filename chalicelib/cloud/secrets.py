"""Reads secrets from Secrets Manager, and signs IAM tokens. Some stages log in to the database with a secret, others
with a token."""

from functools import cache
from typing import Any

from chalicelib.core.errors import DatabaseUnavailable


def text(name: str) -> str:
    """Return the current value of a secret. Every secret is a database login, so an unreadable secret raises
    DatabaseUnavailable."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    config = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "max_attempts": 2})
    try:
        return str(boto3.client("secretsmanager", config=config).get_secret_value(SecretId=name)["SecretString"])
    except (BotoCoreError, ClientError) as error:
        raise DatabaseUnavailable("the secret of the database cannot be read") from error


def token(host: str, port: int, user: str) -> str:
    """Return a token that RDS accepts as the password for 15 minutes. Signing it needs no request to AWS.

    Raises DatabaseUnavailable if there are no AWS credentials to sign it with.
    """
    from botocore.exceptions import BotoCoreError

    try:
        return str(_rds().generate_db_auth_token(DBHostname=host, Port=port, DBUsername=user))
    except BotoCoreError as error:
        raise DatabaseUnavailable("the database token cannot be signed") from error


@cache
def _rds() -> Any:
    """Return the RDS client. It is cached, because creating a client takes longer than signing a token."""
    import boto3

    return boto3.client("rds")
