"""Uses Hireflow as a user does: through the REST API, the buckets, and `make backup`."""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cli.api import Api
from infra.errors import CloudError
from infra.local.commands import Commands
from infra.sample import File

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Row = dict[str, Any]
_PATIENCE = 60  # seconds to wait for another backup to end
_TRIES = 12  # a request is sent at most this often, every 5 seconds, while the API responds with 429 or 503


class Platform:
    """A deployed stage, whose addresses and credentials come from its env file."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self.stage = commands.stage
        self.env_file = commands.state.env_file
        self.env: Mapping[str, str] = commands.state.read_env()
        self._api = Api(self.env["API_URL"], self.env["API_TOKEN"], tries=_TRIES)
        self._s3: S3Client = boto3.session.Session(
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            region_name=self.env["AWS_DEFAULT_REGION"],
        ).client(
            "s3",
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            config=Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=60),
        )

    def get(self, path: str) -> Any:
        return self._api.get(path)

    def post(self, path: str, body: Any) -> Any:
        return self._api.post(path, body)

    def upload(self, file: File) -> str:
        """Put a file into the landing bucket. Return its address, which becomes the source of its load."""
        bucket = self.env["LANDING_BUCKET"]
        try:
            self._s3.put_object(Bucket=bucket, Key=file.key, Body=file.body)
        except (BotoCoreError, ClientError) as error:
            raise CloudError(f"{file.key} cannot be uploaded: {error}") from error
        return f"s3://{bucket}/{file.key}"

    def rejects(self, key: str) -> list[Row]:
        """Return the rejects in a reject file."""
        try:
            body = self._s3.get_object(Bucket=self.env["ERRORED_BUCKET"], Key=key)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            raise CloudError(f"{key} cannot be read from the errored bucket: {error}") from error
        return [json.loads(line) for line in body.splitlines()]

    def backup(self) -> str:
        """Back up now, and return the newest restore point: a new one, or an older one if no row has changed since."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            result = self._commands.invoke("backup")
            if result["restore_point"]:
                return str(result["restore_point"])
            time.sleep(1)  # another backup is running, for example the scheduled one
        raise CloudError(f"no backup was made within {_PATIENCE} seconds")

    def newest_load(self) -> int:
        """Return the id of the newest load, or 0 without any load."""
        return max((int(load["id"]) for load in self.get("/loads?limit=1")["loads"]), default=0)
