"""Handles the events of all functions except the API. `app.py` shows the trigger or schedule of each handler.

A handler imports the modules that it needs only when it is called. The API is in the same deployment package. A cold
start of the API must not load the modules of the handlers, because loading them takes time.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from chalicelib.services import services

Event = dict[str, Any]


def load_objects(event: Event, context: Any) -> None:
    """Load the objects that an S3 event names. The load of a large object may be handed over to the next invocation."""
    from chalicelib.ingest.events import created_objects
    from chalicelib.ingest.handover import HandoverPolicy
    from chalicelib.ingest.objects import Ingestion, ingest_object

    parts = services()
    invoke_again = partial(parts.functions.invoke_later, context.invoked_function_arn, event)
    handover = HandoverPolicy(parts.settings.continue_from, invoke_again)
    grace, watch = parts.settings.orphan_grace, parts.metrics.of_load
    ingestion = Ingestion(parts.database, parts.storage, grace, handover, watch)
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
    parts.metrics.of_gauges(gauges.read(parts.database, parts.storage, parts.dead_letters))
    offer = partial(parts.functions.invoke_later, sibling(context.function_name, "ingest"))
    offered = landing_sweep.sweep(parts.database, parts.storage.landing, offer, restarted=restarted)
    grace, watch = parts.settings.orphan_grace, parts.metrics.of_load
    return {**vars(upkeep.sweep(parts.database, parts.storage, grace=grace, watch=watch)), "offered": offered}


def redrive(context: Any) -> dict[str, int]:
    """Offer the dead letters again. Stop shortly before the time of the invocation is over."""
    from chalicelib.recovery import dead_letters

    parts, seconds = services(), 0.8 * _seconds_left(context)
    return vars(dead_letters.redrive(parts.database, parts.dead_letters, parts.functions, seconds=seconds))


def migrate(event: object) -> dict[str, object]:
    """Migrate the database of the stage to the newest schema. `stage_migration.Order` describes the event."""
    from chalicelib.migrations.stage_migration import migrate_stage

    return migrate_stage(os.environ, event)


def administer_tokens(order: Mapping[str, object]) -> object:
    """Create, list or revoke tokens."""
    from chalicelib.auth.tokens import administer

    with services().database.session() as session:
        return administer(session, order)


def _seconds_left(context: Any) -> float:
    return float(context.get_remaining_time_in_millis()) / 1000
