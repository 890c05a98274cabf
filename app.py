"""Hireflow's table of contents: every route, trigger and schedule, each a line or two."""

import os
from dataclasses import asdict
from functools import partial
from typing import Any, cast

from chalice.app import Chalice, CloudWatchEvent, Rate, S3Event

from chalicelib.api import (
    backup_routes,
    check_routes,
    dashboard_routes,
    docs_routes,
    health_routes,
    load_routes,
    report_routes,
    row_routes,
    upload_routes,
)
from chalicelib.api.http import access, origins, parameters, problems, requests
from chalicelib.cloud.functions import sibling
from chalicelib.core import logs, settings
from chalicelib.services import services

app = Chalice(app_name="hireflow", configure_logs=False)
logs.configure(settings.read(os.environ, "log_level"))

# Chalice's list for API Gateway, which would make text of other bodies and lose the bytes that are none.
app.api.binary_types = list(dict.fromkeys([*app.api.binary_types, *check_routes.MEDIA_TYPES, requests.BINARY]))

app.register_middleware(problems.middleware, "http")
app.register_middleware(origins.middleware, "http")
app.register_middleware(access.middleware, "http")
app.register_middleware(parameters.middleware(app), "http")
for kind in ("s3", "scheduled", "pure_lambda"):
    app.register_middleware(problems.discreet, kind)
app.register_blueprint(row_routes.routes)  # POST /{department,job,hired_employee}/upload[/batch]
app.register_blueprint(upload_routes.routes)  # POST /uploads, DELETE /uploads/{load_id}
app.register_blueprint(check_routes.routes)  # POST /uploads/check
app.register_blueprint(backup_routes.routes)  # POST /{…}/backup/restore, GET /backups
app.register_blueprint(report_routes.routes)  # GET /department/hires/{quarterly,top}[/{year}], …/years
app.register_blueprint(load_routes.routes)  # GET /loads, /loads/{id}[/rejects]
app.register_blueprint(health_routes.routes)  # GET /health
app.register_blueprint(dashboard_routes.routes)  # GET /, /dashboard/{panel}
app.register_blueprint(docs_routes.routes)  # GET /openapi.json, /docs


@app.on_s3_event(bucket=os.environ.get("LANDING_BUCKET", "landing"), events=["s3:ObjectCreated:*"], name="ingest")
def ingest(event: S3Event) -> None:
    from chalicelib.ingest.objects import ingest_object
    from chalicelib.ingest.resumable import Continuing
    from chalicelib.ingest.sources import created_objects

    def again() -> None:
        context: Any = event.context
        parts.functions.invoke_later(context.invoked_function_arn, event.to_dict())

    parts = services()
    grace, watch = parts.settings.orphan_grace, parts.metrics.of_load
    continuing = Continuing(parts.settings.continue_from, again)
    for created in created_objects(event.to_dict()):
        seconds = _seconds_left(event.context)
        if not ingest_object(
            parts.database, parts.storage, created, grace=grace, seconds=seconds, watch=watch, continuing=continuing
        ):
            return  # to the invocation that has the event now


@app.schedule(Rate(3, unit=Rate.MINUTES), name="backup")
def backup(_event: CloudWatchEvent) -> dict[str, object]:
    from chalicelib.backups.run import run_backup

    parts = services()
    run = run_backup(parts.database, parts.storage, retention=parts.settings.backup_retention)
    parts.metrics.of_backup(run)
    return asdict(run)


@app.schedule(Rate(1, unit=Rate.DAYS), name="verify")
def verify(event: CloudWatchEvent) -> dict[str, object]:
    from chalicelib.backups.verify import verify_point

    restore_point = event.detail.get("restore_point")  # none is named by the schedule
    return asdict(verify_point(services().storage.backup, restore_point))


@app.schedule(Rate(3, unit=Rate.MINUTES), name="sweep")
def sweep(event: CloudWatchEvent) -> dict[str, int]:
    from chalicelib.monitoring import gauges
    from chalicelib.recovery import landing_sweep, upkeep

    parts, context = services(), cast(Any, event.context)
    parts.metrics.of_gauges(gauges.read(parts.database, parts.storage, parts.dead_letters))  # though the sweep may fail
    offer = partial(parts.functions.invoke_later, sibling(context.function_name, "ingest"))
    restarted = bool(event.detail.get("restarted"))  # only `make up` sets it, never the schedule
    offered = landing_sweep.sweep(parts.database, parts.storage.landing, offer, restarted=restarted)
    grace, watch = parts.settings.orphan_grace, parts.metrics.of_load
    return {**vars(upkeep.sweep(parts.database, parts.storage, grace=grace, watch=watch)), "offered": offered}


@app.lambda_function(name="redrive")
def redrive(_event: Any, context: Any) -> dict[str, int]:
    from chalicelib.recovery import dead_letters

    parts, seconds = services(), 0.8 * _seconds_left(context)
    return vars(dead_letters.redrive(parts.database, parts.dead_letters, parts.functions, seconds=seconds))


@app.lambda_function(name="migrate")
def migrate(_event: Any, _context: Any) -> dict[str, str]:
    from chalicelib.migrations.stage_migration import migrate_stage

    return migrate_stage(os.environ)


@app.lambda_function(name="tokens")
def tokens(order: dict[str, object], _context: Any) -> object:
    from chalicelib.auth.tokens import administer

    with services().database.session() as session:
        return administer(session, order)


def _seconds_left(context: Any) -> float:
    return float(context.get_remaining_time_in_millis()) / 1000
