"""The embedded cloud: a real Postgres and a real (small) AWS as processes of this machine, no Docker, no account."""
