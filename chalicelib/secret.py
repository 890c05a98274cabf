"""Secrets Manager, for stages that keep the database's URL there."""

from chalicelib.errors import DatabaseUnavailable


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
