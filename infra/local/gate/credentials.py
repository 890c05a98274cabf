"""Issues and checks the credentials that the gate accepts: those of the stage, and those of its functions.

The stage has one access key, which is generated at its first start. The credentials and the session token of a function
are derived from its ARN, its role and a secret of the stage (HMAC-SHA256). The session token names the ARN and the
role. So the gate can check a function's credentials without a list of all issued ones. A link that a function has
signed stays valid after a restart.
"""

import base64
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REGION = "us-east-1"
_FILE = "credentials.json"
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # the characters of access keys


@dataclass(frozen=True)
class Session:
    """The credentials of one function, with the ARNs of the function and its role."""

    function: str
    role: str
    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)

    def env(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_SESSION_TOKEN": self.token,
        }

    def record(self) -> dict[str, str]:
        """Return the record that ministack's STS keeps of an assumed role. It lets ministack apply the role's
        policies."""
        account = self.function.split(":")[4]
        role, name = self.role.rpartition("/")[2], self.function.rpartition(":")[2][:64]
        return {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{name}",
            "UserId": f"{role}:{name}",
            "SecretAccessKey": self.secret_key,
            "SessionToken": self.token,
        }


@dataclass(frozen=True)
class Keys:
    """The stage's own credentials, and the secret from which those of its functions are derived."""

    access_key: str
    secret_key: str = field(repr=False)
    functions: str = field(repr=False)

    @classmethod
    def generated(cls) -> "Keys":
        key = "AKIA" + "".join(secrets.choice(_ALPHABET) for _ in range(16))
        return cls(key, secrets.token_urlsafe(30), secrets.token_urlsafe(30))

    @classmethod
    def kept(cls, home: Path) -> "Keys":
        """Return the keys in a state folder. Generate them if the folder has none."""
        path = home / _FILE
        if not path.exists():
            _write_once(path, json.dumps(vars(cls.generated())))
        return cls(**json.loads(path.read_text()))

    def env(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}

    def client(self, service: str, endpoint: str, region: str = REGION, config: Any = None) -> Any:
        """Return a boto3 client that signs with the stage's own key. `config` is a botocore Config or None."""
        import boto3

        make: Any = boto3.client  # Any, because boto3's type stubs accept only literal names of services
        return make(
            service,
            endpoint_url=endpoint,
            region_name=region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=config,
        )

    def session(self, function: str, role: str) -> Session:
        """Return the credentials of a function in a role. Both arguments are ARNs."""
        about = base64.urlsafe_b64encode(json.dumps([function, role]).encode()).decode()
        key = "ASIA" + base64.b32encode(self._derived("key", about))[:16].decode()
        token = f"{about}.{self._derived('token', about).hex()}"
        return Session(function, role, key, self._derived("secret", about).hex(), token)

    def session_of(self, access_key: str, token: str) -> Session | None:
        """Return the session of a function's credentials, or None if they were not issued here."""
        try:
            function, role = json.loads(base64.urlsafe_b64decode(token.partition(".")[0]))
            session = self.session(str(function), str(role))
        except (ValueError, TypeError, RecursionError):
            return None
        same = hmac.compare_digest(session.token.encode(), token.encode("utf-8", "replace"))
        return session if same and access_key == session.access_key else None

    def _derived(self, what: str, about: str) -> bytes:
        return hmac.digest(self.functions.encode(), f"{what}\0{about}".encode(), "sha256")


def for_clients(home: Path) -> Mapping[str, str]:
    """Return the AWS_* variables of the stage's clients."""
    return {**Keys.kept(home).env(), "AWS_DEFAULT_REGION": REGION}


def _write_once(path: Path, text: str) -> None:
    """Write a private file in one step, so that no process reads an incomplete file. An existing file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    try:
        os.link(unfinished, path)
    except FileExistsError:
        pass
    finally:
        unfinished.unlink()
