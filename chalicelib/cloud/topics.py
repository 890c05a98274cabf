"""Publishes notices to a topic of SNS."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from chalicelib.cloud.clients import Client, aws_client
from chalicelib.core.errors import Unavailable, Unprocessable

# SNS documents these errors as errors of the message itself, so no later attempt can succeed.
_PERMANENT = ("InvalidParameter", "InvalidParameterException", "InvalidParameterValue", "ParameterValueInvalid")


class Topic:
    """Publishes notices to the topic with the ARN `arn`."""

    def __init__(self, arn: str, client: Client | None = None) -> None:
        self.arn = arn
        self._make = client or aws_client("sns")

    def publish(self, subject: str, text: str, attributes: Mapping[str, str]) -> None:
        """Publish a notice. `attributes` are the message attributes, by which a subscription may filter notices.

        Raises Unprocessable if SNS can never accept this notice, and Unavailable if it may accept it later.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        given = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
        try:
            self._sns.publish(TopicArn=self.arn, Subject=subject, Message=text, MessageAttributes=given)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _PERMANENT:
                raise Unprocessable(f"SNS refused a notice: {error.response['Error'].get('Message')}") from error
            raise Unavailable("SNS accepts no notices now") from error
        except (BotoCoreError, OSError) as error:
            raise Unavailable("SNS accepts no notices now") from error

    @cached_property
    def _sns(self) -> Any:
        return self._make()
