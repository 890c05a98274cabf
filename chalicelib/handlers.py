"""Handles the events of all functions except the API. `app.py` shows the trigger or schedule of each handler.

A handler imports the modules that it needs only when it is called. The API is in the same deployment package. A cold
start of the API must not load the modules of the handlers, because loading them takes time.
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from chalicelib.core.settings import BY_RELAY
from chalicelib.services import services

Event = dict[str, Any]
_log = logging.getLogger("hireflow.outbox")


def load_objects(event: Event, context: Any) -> None:
    """Load the objects that an S3 event names. The load of a large object may be handed over to the next invocation."""
    from chalicelib.ingest.events import created_objects
    from chalicelib.ingest.handover import HandoverPolicy
    from chalicelib.ingest.objects import Ingestion, ingest_object
    from chalicelib.ingest.reject_limit import RejectLimit

    parts = services()
    invoke_again = partial(parts.invoke_later, context.invoked_function_arn, event)
    handover = HandoverPolicy(parts.settings.continue_from, invoke_again)
    grace, watch = parts.settings.orphan_grace, parts.metrics.of_load
    limit = RejectLimit(parts.settings.reject_limit)
    ingestion = Ingestion(parts.database, parts.storage, grace, handover, watch, reject_limit=limit)
    for created in created_objects(event):
        if not ingest_object(ingestion, created, seconds=_seconds_left(context)):
            return  # the load was handed over: the next invocation has this event, too


def back_up() -> dict[str, object]:
    """Make a restore point if any dataset has changed, and write the metrics of this backup run."""
    from chalicelib.backups.run import run_backup

    parts = services()
    run = run_backup(parts.database, parts.storage, retention=parts.settings.backup_retention)
    parts.metrics.of_backup(run)
    return asdict(run)


def verify_backup(restore_point: str | None) -> dict[str, object]:
    """Verify the named restore point, or the newest one if no name is given."""
    from chalicelib.backups.verify import verify_point

    return asdict(verify_point(services().storage.backup, restore_point))


def sweep(context: Any, *, restarted: bool) -> dict[str, int]:
    """Write the gauges as metrics, offer objects whose events were lost, and repair what crashed loads left behind."""
    from chalicelib.cloud.functions import sibling
    from chalicelib.monitoring import gauges
    from chalicelib.recovery import landing_sweep, upkeep

    parts = services()
    # The gauges come first, because the sweep may fail.
    measured = gauges.read(parts.database, parts.storage, parts.measured_queue)
    parts.metrics.of_gauges(measured)
    _maintain_outbox(measured.backup_lag)
    offer = partial(parts.invoke_later, sibling(context.function_name, "ingest"))
    offered = landing_sweep.sweep(parts.database, parts.storage.landing, offer, restarted=restarted)
    grace, watch = parts.settings.orphan_grace, parts.metrics.of_load
    return {**vars(upkeep.sweep(parts.database, parts.storage, grace=grace, watch=watch)), "offered": offered}


def redrive(context: Any) -> dict[str, int]:
    """Offer the dead letters again. Stop shortly before the time of the invocation is over."""
    from chalicelib.recovery import dead_letters

    parts, seconds = services(), 0.8 * _seconds_left(context)
    reopen: dead_letters.Reopen = partial(dead_letters.reopen_loads, parts.database)
    if parts.settings.aws_calls == BY_RELAY:  # on such a stage, this function runs outside of the database's network
        reopen = dead_letters.reopening_by(_outbox_of(context))
    return vars(dead_letters.redrive(reopen, parts.dead_letters, parts.functions, seconds=seconds))


def relay(context: Any) -> dict[str, object]:
    """Send the messages of the outbox: events, notices, and the invocations that other functions have requested."""
    from chalicelib.cloud.event_bus import EventBus
    from chalicelib.cloud.topics import Topic
    from chalicelib.monitoring import readiness
    from chalicelib.outbox.messages import Order, Taken
    from chalicelib.outbox.relay import Channels, Relay

    parts, ask = services(), _outbox_of(context)

    def take(order: Order) -> Taken:
        return Taken.of(ask(vars(order)))

    topic = Topic(parts.settings.notice_topic) if parts.settings.notice_topic else None
    measured = readiness.depth(parts.dead_letters) if parts.settings.aws_calls == BY_RELAY else None
    invoke, percent = parts.functions.invoke_later, parts.settings.notice_percent
    channels = Channels(EventBus(), topic, invoke, parts.settings.stage, percent)
    return vars(Relay(take, channels).run(0.5 * _seconds_left(context), measured.depth if measured else None))


def outbox(order: Mapping[str, Any]) -> dict[str, Any]:
    """Serve the functions that run outside of the database's network: give the relay its next messages, or reopen the
    loads of a dead letter for `redrive`."""
    from chalicelib.outbox import store
    from chalicelib.outbox.messages import Order

    if "reopen" in order:
        from chalicelib.recovery import dead_letters

        return {"refused": dead_letters.refusal(services().database, order["reopen"])}
    with services().database.transaction() as session:
        return store.take(session, Order(**order)).payload()


def migrate(event: object) -> dict[str, object]:
    """Migrate the database of the stage to the newest schema. `stage_migration.Order` describes the event."""
    from chalicelib.migrations.stage_migration import migrate_stage

    return migrate_stage(os.environ, event)


def administer_tokens(order: Mapping[str, object]) -> object:
    """Create, list or revoke tokens."""
    from chalicelib.auth.tokens import administer

    with services().database.session() as session:
        return administer(session, order)


def _maintain_outbox(backup_lag: float | None) -> None:
    """Write a message if backups have become late or are in time again. Discard messages that could not be sent for too
    long."""
    from chalicelib.outbox import late_backups, store

    with services().database.session() as session:
        late_backups.watch(session, backup_lag)
        if discarded := store.discard_old(session):
            _log.error("%s messages were discarded, because the relay could not send them for too long", discarded)


def _outbox_of(context: Any) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that invokes the function `outbox` of this stage."""
    from chalicelib.cloud.functions import sibling

    return partial(services().functions.invoke, sibling(context.function_name, "outbox"))


def _seconds_left(context: Any) -> float:
    return float(context.get_remaining_time_in_millis()) / 1000
