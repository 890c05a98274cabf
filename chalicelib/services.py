"""Makes the objects that a deployed function needs, for example the database. The settings come from the environment
variables of the function."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from chalicelib.cloud import purposes, secrets
from chalicelib.cloud.database import Database
from chalicelib.cloud.database_login import database_login
from chalicelib.cloud.functions import Functions
from chalicelib.cloud.queues import DeadLetters
from chalicelib.cloud.storage import Storage
from chalicelib.core.settings import BY_RELAY, Settings
from chalicelib.monitoring.readiness import Queue, Readiness

if TYPE_CHECKING:
    from chalicelib.monitoring.metrics import Metrics


@dataclass(frozen=True)
class Services:
    settings: Settings
    database: Database
    storage: Storage
    dead_letters: DeadLetters
    functions: Functions

    @property
    def metrics(self) -> "Metrics":
        """Return the metrics of the stage. The module of metrics is imported here, because most requests need no
        metrics."""
        from chalicelib.monitoring.metrics import Metrics

        return Metrics(self.settings.stage)

    @cached_property
    def readiness(self) -> Readiness:
        return Readiness(self.database, self.storage, self.measured_queue)

    @property
    def invoke_later(self) -> Callable[[str, Any], None]:
        """Return the Python function that invokes a Lambda function asynchronously. On some stages, this function lets
        the relay do the invocation."""
        if self.settings.aws_calls != BY_RELAY:
            return self.functions.invoke_later
        from chalicelib.outbox.invocations import ByRelay

        return ByRelay(self.database).invoke_later

    @property
    def measured_queue(self) -> Queue:
        """Return the object that measures the dead-letter queue. On some stages, this object returns the depth that the
        relay has measured."""
        if self.settings.aws_calls != BY_RELAY:
            return self.dead_letters
        from chalicelib.outbox.invocations import ByRelay

        return ByRelay(self.database)


def database_url(settings: Settings) -> Callable[[], str]:
    """Return a function that returns the URL of the database, with a login. Every new connection calls this
    function."""
    return database_login(settings, secrets.text, secrets.token)


@cache
def services() -> Services:
    """Return the services. The first call makes them, because the build of the deployment package imports this module
    without a database or S3."""
    settings = Settings.from_env(os.environ)
    deployed = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
    purpose = purposes.of_function(deployed, settings.stage, settings.database_connections)
    return Services(
        settings,
        Database(database_url(settings), tls=settings.database_tls, ca=settings.database_ca, purpose=purpose),
        Storage(
            settings.landing_bucket,
            settings.errored_bucket,
            settings.backup_bucket,
            public_url=settings.s3_public_url,
        ),
        DeadLetters(settings.dead_letter_queue),
        Functions(),
    )
