"""The composition root: what a deployed function works with, made from its environment once."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from chalicelib import secret
from chalicelib.database import Database
from chalicelib.delivery import DeadLetters, Functions
from chalicelib.login import database_login
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
    """Where the database is and how to log in, asked anew for every connection."""
    return database_login(settings, secret.text, secret.token)


@cache
def services() -> Services:
    """Made on first use, not at import: a package is imported where there is neither database nor S3."""
    settings = Settings.from_env(os.environ)
    return Services(
        settings,
        Database(database_url(settings), tls=settings.database_tls, ca=settings.database_ca),
        Storage(
            settings.landing_bucket,
            settings.errored_bucket,
            settings.backup_bucket,
            public_url=settings.s3_public_url,
        ),
        DeadLetters(settings.dead_letter_queue),
        Functions(),
    )
