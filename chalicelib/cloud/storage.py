"""Gives access to the three buckets. The landing bucket receives files from clients, and the copies that restores load.
The errored bucket holds the reject files, and the backup bucket holds the restore points.

boto3 is imported only when a client is first needed, for the reason that `clients` explains.
"""

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chalicelib.core import deadline

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
from chalicelib.cloud import form_origins
from chalicelib.cloud.buckets import Bucket

BRIEF = 60.0  # seconds; a function that has less time than this uses shorter timeouts for S3


class Storage:
    """The three buckets. Their clients are created when they are first needed.

    `public_url` is the URL at which other programs reach the S3 of an emulator, if the functions use another URL.
    """

    def __init__(
        self,
        landing: str,
        errored: str,
        backup: str,
        client: "Callable[[], S3Client] | None" = None,
        *,
        public_url: str = "",
    ) -> None:
        self._request_client: S3Client | None = None
        self._signing_client: S3Client | None = None
        self._public_url = public_url
        self._lock = threading.Lock()
        client_maker, signer_maker = client or self._default_client, client or self._default_signer
        self.landing, self.errored, self.backup = (
            Bucket(name, client_maker, signer_maker) for name in (landing, errored, backup)
        )

    def form_origin(self) -> str:
        """Return the origin to which the forms of the landing bucket are sent. Raises StorageUnavailable."""
        computed = form_origins.computed(self.landing.name, os.environ, self._public_url)
        return computed or self.landing.form_origin()

    def _default_client(self) -> "S3Client":
        with self._lock:
            if self._request_client is None:
                import boto3
                from botocore.config import Config

                # A process runs one function, so the time that is left at its first use of S3 is typical for its work.
                brief = (deadline.left() or BRIEF) < BRIEF
                config = Config(
                    connect_timeout=2 if brief else 5,
                    read_timeout=6 if brief else 60,
                    retries={"mode": "standard", "max_attempts": 4},
                )
                self._request_client = boto3.client("s3", config=config)
                self._request_client.meta.events.register("before-send.s3", _stop_in_time)
        return self._request_client

    def _default_signer(self) -> "S3Client":
        """Return the client that signs forms and URLs. It sends no requests.

        On AWS, the bucket's name becomes part of the host name, so requests go directly to the bucket's region. The
        address of S3 for all regions would redirect the request, and a browser does not follow the redirect of a form.
        """
        with self._lock:
            if self._signing_client is None:
                import boto3
                from botocore.config import Config

                is_emulator = form_origins.endpoint(os.environ, self._public_url)
                style: Any = {"addressing_style": "path" if is_emulator else "virtual"}
                config = Config(signature_version="s3v4", s3=style)
                self._signing_client = boto3.client("s3", endpoint_url=self._public_url or None, config=config)
        return self._signing_client


def _stop_in_time(**_: Any) -> None:
    """Check the deadline before every request and every retry. Raises OutOfTime."""
    deadline.left()
