"""Holds the code of the Lambda functions. `app.py` connects this code to the routes, triggers and schedules.

`services.py` makes the objects that the functions share, for example the database. `handlers.py` has the functions that
triggers and schedules invoke. `api` has the routes.

The packages. Each package imports only packages that stand above it in this list:

core        has datasets, rules, errors and settings, which every package may use. It does no I/O.
cloud       calls Postgres, S3, SQS, Lambda and Secrets Manager. No other package imports their drivers.
formats     converts bytes to records and records to bytes: CSV, Avro, gzip, and Postgres's COPY.
loads       keeps the history of loads, and the claims of workers.
reports     declares the reports, and queries their figures.
auth        creates and looks up tokens, and declares the roles.
ingest      brings rows from a file or a request into their table.
backups     makes, verifies, expires and restores restore points.
recovery    repairs what a crash has left, for example loads without a worker.
monitoring  checks whether the service is ready, and writes metrics.
migrations  creates and changes the schema of the database.
dashboard   renders the web page for users.
api         has the routes, and the code that all routes share.
"""
