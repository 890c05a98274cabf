"""Track which rejects are open. A reject is open until a later load has loaded its row.

The previous release still runs for some minutes after this migration. The rejects of its loads are not tracked, so they
always count as open.
"""

from alembic import op

revision = "0009"
down_revision = "0008"

OPEN_REJECTS = """
ALTER TABLE loads ADD COLUMN file_columns jsonb, ADD COLUMN tracked_rejects bigint NOT NULL DEFAULT 0;

CREATE TABLE open_rejects (
    load_id bigint NOT NULL,
    place bigint NOT NULL,
    dataset text NOT NULL,
    id integer,
    waits boolean NOT NULL,
    CONSTRAINT open_rejects_pkey PRIMARY KEY (load_id, place),
    CONSTRAINT open_rejects_load_id_fkey FOREIGN KEY (load_id) REFERENCES loads (id) ON DELETE CASCADE
);
CREATE INDEX open_rejects_dataset_id_idx ON open_rejects (dataset, id);
"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(OPEN_REJECTS)
