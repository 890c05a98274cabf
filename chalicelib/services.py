"""The composition root: what a deployed function works with, made from its environment once."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from chalicelib import secret
from chalicelib.database import Database
from chalicelib.delivery import DeadLetters, Functions
from chalicelib.settings import Settings
from chalicelib.storage import Storage

if TYPE_CHECKING:
    from chalicelib.metrics import Metrics


@dataclass(frozen=True)
class Services:
    settings: Settings
    database: Database
    storage: Storage
    dead_letters: DeadLetters
    functions: Functions

    @property
    def metrics(self) -> "Metrics":
        """Imported by those who measure: requests do not."""
        from chalicelib.metrics import Metrics

        return Metrics(self.settings.stage)


def database_url(settings: Settings) -> Callable[[], str]:
    """Where the database is and how to log in, asked anew for every connection: a secret may be rotated."""
    if settings.database_url:
        return lambda: settings.database_url
    return partial(secret.text, settings.database_secret)


@cache
def services() -> Services:
    """Made on first use, not at import: a package is imported where there is neither database nor S3."""
    settings = Settings.from_env(os.environ)
    return Services(
        settings,
        Database(database_url(settings), tls=settings.database_tls),
        Storage(
            settings.landing_bucket,
            settings.errored_bucket,
            settings.backup_bucket,
            public_url=settings.s3_public_url,
        ),
        DeadLetters(settings.dead_letter_queue),
        Functions(),
    )
