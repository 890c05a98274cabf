"""Keeps the settings of a stage on AWS in the backup bucket, so that the next deployment finds them from any machine.

The object with the settings lies beside Chalice's record and holds no passwords. The URL of the user's own Postgres is
in Secrets Manager, from which the functions read it, too. The object also holds the whole text of the file DATABASE_CA,
because certificate authorities are public.
"""

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from infra.deploy.logins import owner_secret
from infra.deploy.target import CA_FILE, Target
from infra.errors import CloudError
from infra.settings.adopted import adopted
from infra.settings.chosen import Chosen

KEY = "deployments/settings.json"
_CA, _URL = "DATABASE_CA", "DATABASE_URL"
_GONE = ("NoSuchKey", "NoSuchBucket", "404", "ResourceNotFoundException")


def kept(target: Target, *, url_is_needed: bool = True) -> dict[str, str]:
    """Return the settings of the last deployment, and write the file of certificate authorities to this machine.

    If the previous release deployed the stage and kept no settings, the settings are read from the functions. Raises
    CloudError if the database's URL is needed but its secret does not exist.
    """
    found = _document(target)
    if found is None:
        deployed = variables(target)
        values, own_database = adopted(target.stage, deployed), bool(deployed.get("DATABASE_SECRET"))
        found = {}
    else:
        values, own_database = dict(found["settings"]), bool(found["own_database"])
    if found.get("authorities"):
        path = target.work / CA_FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found["authorities"])
        values[_CA] = str(path)
    if own_database and url_is_needed:
        values[_URL] = _database_url(target)
    return values


def keep(target: Target, chosen: Chosen) -> None:
    """Keep the settings of this deployment, without secrets."""
    values = chosen.to_keep()
    document = {
        "settings": {name: text for name, text in values.items() if not _is_elsewhere(chosen, name)},
        "own_database": _URL in values,
        "authorities": target.ca.read_text() if target.ca and chosen.given(_CA) else "",
    }
    if document != _document(target):
        body = json.dumps(document, indent=2).encode()
        target.client("s3").put_object(Bucket=target.backup, Key=KEY, Body=body, ContentType="application/json")


def forget(target: Target) -> None:
    """Delete the settings of a destroyed stage. The bucket keeps old versions of the object for some time."""
    try:
        target.client("s3").delete_object(Bucket=target.backup, Key=KEY)
    except ClientError as error:
        _check_gone(error)


def _is_elsewhere(chosen: Chosen, name: str) -> bool:
    return name == _CA or chosen.values[name].setting.secret


def _document(target: Target) -> dict[str, Any] | None:
    try:
        return dict(json.loads(target.client("s3").get_object(Bucket=target.backup, Key=KEY)["Body"].read()))
    except ClientError as error:
        _check_gone(error)
        return None


def _database_url(target: Target) -> str:
    secret = owner_secret(target.stage)
    try:
        return str(target.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"])
    except ClientError as error:
        _check_gone(error)
    raise CloudError(
        f"stage {target.stage} uses your own database, but its secret {secret} does not exist: set DATABASE_URL, or"
        " RESET=DATABASE_URL to use another profile"
    )


def variables(target: Target) -> Mapping[str, str]:
    """Return the environment variables of the stage's functions, or an empty dict without functions."""
    try:
        found = target.client("lambda").get_function_configuration(FunctionName=target.function("backup"))
    except ClientError as error:
        _check_gone(error)
        return {}
    return dict(found.get("Environment", {}).get("Variables", {}))


def _check_gone(error: ClientError) -> None:
    """Raise the error, unless it means that something does not exist."""
    if error.response["Error"]["Code"] not in _GONE:
        raise error
