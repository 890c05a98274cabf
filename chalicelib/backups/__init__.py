"""Backups of every dataset from one snapshot, as Avro files under restore points, and the way back."""
