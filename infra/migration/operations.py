"""Operations of our own, which Alembic renders as calls of `chalicelib.migrations.changes`."""

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import MigrateOperation


class Call(MigrateOperation):
    """Run the SQL that a function of `chalicelib.migrations.changes` returns for these arguments."""

    def __init__(self, function: str, *arguments: str) -> None:
        self.function, self.arguments = function, arguments


@renderers.dispatch_for(Call)
def _render(context: AutogenContext, call: Call) -> str:
    context.imports.add(call.function)
    return f"op.get_bind().exec_driver_sql({call.function}({', '.join(map(repr, call.arguments))}))"
