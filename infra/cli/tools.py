"""What every command works with, made when it is first needed."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import typer

from infra.cli.client import Api, Presigned
from infra.cli.config import Config
from infra.cli.show import Output, standard_error, standard_output


class Tools:
    """`out` is for results, `notes` for whatever else a person may want to know meanwhile."""

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
    def api(self) -> Api:
        return Api(self.config.api_url, self.config.token)

    @cached_property
    def presigned(self) -> Presigned:
        return Presigned()

    def invoke(self, function: str, order: Any = None) -> Any:
        """Call a function of the stage, with an order or as its schedule would, and wait for its result.

        Raises CloudError.
        """
        from infra.deploy import driver  # boto3 takes its time, and few commands need it

        target = self.config.target
        event = driver.scheduled_event(target.aws.get("AWS_DEFAULT_REGION", "")) if order is None else order
        return driver.invoke(target, function, event)

    def close(self) -> None:
        for name in ("api", "presigned"):
            if name in self.__dict__:
                self.__dict__[name].close()
