"""Provides the objects that commands work with. Each client is created when a command first uses it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

from cli.config import Config
from cli.errors import NoAnswer
from cli.output import Output, standard_error, standard_output

if TYPE_CHECKING:
    from cli.api import Api, Presigned


class Tools:
    """`out` prints results to standard output, `notes` prints progress and remarks to standard error."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.config = Config.of(environ)
        self.out: Output = standard_output()
        self.notes: Output = standard_error()

    @classmethod
    def of(cls, context: typer.Context) -> "Tools":
        found = context.obj
        assert isinstance(found, cls)
        return found

    @cached_property
    def api(self) -> "Api":
        from cli.api import Api

        return Api(self.config.api_url, self.config.token, absent=self.config.absent, outdated=self.config.outdated)

    @cached_property
    def presigned(self) -> "Presigned":
        from cli.api import Presigned

        return Presigned()

    def invoke(self, function: str, order: Any = None) -> Any:
        """Invoke a function of the stage, wait, and return its result. Raises CommandError.

        The function gets `order` as its event. Without an order, the function gets the event of its schedule.
        """
        from cli import functions

        aws = self.config.aws
        event = functions.scheduled_event(aws.get("AWS_DEFAULT_REGION", "")) if order is None else order
        with self.explained_if_absent():
            return functions.invoke(functions.client(aws, "lambda"), self.config.stage, function, event)

    @contextmanager
    def explained_if_absent(self) -> Iterator[None]:
        """Raise a clearer error if AWS cannot be reached because the stage on this machine does not run."""
        try:
            yield
        except NoAnswer as error:
            absent = self.config.absent if error.refused and "AWS_ACCESS_KEY_ID" in self.config.aws else ""
            raise NoAnswer(absent or str(error), error.refused) from error

    def close(self) -> None:
        for name in ("api", "presigned"):
            if name in self.__dict__:
                self.__dict__[name].close()
