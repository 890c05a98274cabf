"""From bytes or JSON to rows in Postgres: read, check, stage, merge, report what was refused."""
