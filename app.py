"""Lists the routes, triggers and schedules of Hireflow. The modules that this file imports do the work."""

import os
from typing import Any

from chalice.app import Chalice, CloudWatchEvent, Rate, S3Event

from chalicelib import handlers
from chalicelib.api import (
    backup_routes,
    check_routes,
    dashboard_routes,
    docs_routes,
    health_routes,
    load_routes,
    report_routes,
    row_routes,
    template_routes,
    upload_routes,
)
from chalicelib.api.http import access, origins, parameters, problems, requests, safe_headers
from chalicelib.core import logs, schedules, settings
from chalicelib.reports.hires import REPORTS

app = Chalice(app_name="hireflow", configure_logs=False)
logs.configure(settings.read(os.environ, "log_level"))

# Chalice gives this list to API Gateway. API Gateway decodes bodies of all other types as text, and replaces the bytes
# that are not valid text.
app.api.binary_types = list(dict.fromkeys([*app.api.binary_types, *check_routes.MEDIA_TYPES, requests.BINARY]))
if os.environ.get(requests.DESCRIBING):
    app.api.binary_types.append(requests.ANY)

app.register_blueprint(row_routes.routes)  # POST /{department,job,hired_employee}/upload[/batch]
app.register_blueprint(template_routes.routes)  # GET /{department,job,hired_employee}/template.{csv,xlsx}
app.register_blueprint(upload_routes.routes)  # POST /uploads, DELETE /uploads/{load_id}
app.register_blueprint(check_routes.routes)  # POST /uploads/check
app.register_blueprint(backup_routes.routes)  # POST /{…}/backup/restore, GET /backups
app.register_blueprint(report_routes.routes(REPORTS))  # GET /department/hires/…, as each report declares
app.register_blueprint(load_routes.routes)  # GET /loads, /loads/{id}[/rejects]
app.register_blueprint(health_routes.routes)  # GET /health
app.register_blueprint(dashboard_routes.routes)  # GET /, /dashboard/{panel}
app.register_blueprint(docs_routes.routes)  # GET /openapi.json, /docs

# The order of the middleware matters. The middleware comes after all routes, because `access` refuses an application
# that has a route without a role.
app.register_middleware(safe_headers.middleware, "http")
app.register_middleware(problems.middleware, "http")
app.register_middleware(origins.middleware, "http")
app.register_middleware(access.middleware(app), "http")
app.register_middleware(parameters.middleware(app), "http")
for kind in ("s3", "scheduled", "pure_lambda"):
    app.register_middleware(problems.discreet, kind)


@app.on_s3_event(bucket=os.environ.get("LANDING_BUCKET", "landing"), events=["s3:ObjectCreated:*"], name="ingest")
def ingest(event: S3Event) -> None:
    handlers.load_objects(event.to_dict(), event.context)


@app.schedule(Rate(schedules.BACKUP_MINUTES, unit=Rate.MINUTES), name="backup")
def backup(_event: CloudWatchEvent) -> dict[str, object]:
    return handlers.back_up()


@app.schedule(Rate(schedules.VERIFY_DAYS, unit=Rate.DAYS), name="verify")
def verify(event: CloudWatchEvent) -> dict[str, object]:
    return handlers.verify_backup(event.detail.get("restore_point"))  # the event of the schedule names no restore point


# After a restart of the embedded cloud, `make up` invokes this function with the detail `restarted`. The schedule sends
# no such detail.
@app.schedule(Rate(schedules.SWEEP_MINUTES, unit=Rate.MINUTES), name="sweep")
def sweep(event: CloudWatchEvent) -> dict[str, int]:
    return handlers.sweep(event.context, restarted=bool(event.detail.get("restarted")))


@app.schedule(Rate(schedules.RELAY_MINUTES, unit=Rate.MINUTES), name="relay")
def relay(event: CloudWatchEvent) -> dict[str, object]:
    return handlers.relay(event.context)


@app.lambda_function(name="outbox")
def outbox(order: dict[str, Any], _context: Any) -> dict[str, Any]:
    return handlers.outbox(order)


@app.lambda_function(name="redrive")
def redrive(_event: Any, context: Any) -> dict[str, int]:
    return handlers.redrive(context)


@app.lambda_function(name="migrate")
def migrate(event: Any, _context: Any) -> dict[str, object]:
    return handlers.migrate(event)


@app.lambda_function(name="tokens")
def tokens(order: dict[str, Any], _context: Any) -> Any:
    return handlers.administer_tokens(order)
