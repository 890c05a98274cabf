"""What runs in the Lambda functions, and on one laptop. `app.py` shows what calls it.

`services.py` puts it together, and `handlers.py` answers the triggers and schedules as `api` answers HTTP.

The rooms, from the bottom up. Each imports only what stands above it in this list:

core        what everybody may use: datasets, rules, errors, settings. No I/O.
cloud       the only drivers: Postgres, S3, SQS, Lambda, Secrets Manager.
formats     bytes to records and back: CSV, Avro, gzip, Postgres's COPY.
loads       the history of loads, and who may work on one.
reports     the figures that people plan with.
auth        tokens and their roles.
ingest      a row's way from a file or a request into its table.
backups     restore points: made, verified, expired, restored.
recovery    schedules that take up what a crash has left.
monitoring  whether the service is ready, and its metrics.
migrations  the schema of the database, and how it changes.
dashboard   the web page for people.
api         HTTP: routes, and what all routes share.
"""
