"""Replaces requests to AWS on a stage whose functions reach only Postgres and S3. Such a function writes the invocation
that it needs to the outbox, and reads the depth of the dead-letter queue from the database. The function `relay` sends
the requests to AWS."""

from typing import Any

from chalicelib.cloud.database import Database
from chalicelib.cloud.queues import Measured
from chalicelib.core.errors import Unavailable
from chalicelib.outbox import store
from chalicelib.outbox.messages import INVOKE


class ByRelay:
    """Lets the relay invoke functions and measure the dead-letter queue."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def invoke_later(self, arn: str, event: Any) -> None:
        """Write the request to invoke a function with an event to the outbox. The relay invokes the function within
        about a minute. Raises DatabaseUnavailable."""
        with self._database.session() as session:
            store.write(session, INVOKE, {"function": arn, "event": event})

    def measured(self) -> Measured:
        """Return the depth of the dead-letter queue that the relay has measured last. Raises Unavailable if the relay
        has not measured the queue yet, or if the database is unavailable."""
        with self._database.session() as session:
            [[depth, age]] = session.run(
                "SELECT dead_letters, CAST(extract(epoch FROM now() - measured_at) AS double precision)"
                " FROM relay_state"
            )
        if depth is None:
            raise Unavailable("the relay has not measured the dead-letter queue yet")
        return Measured(depth, age)
