"""Names the tables of all datasets in SQL."""

from chalicelib.core.datasets import DATASETS

TABLES = ", ".join(dataset.table for dataset in DATASETS.values())
