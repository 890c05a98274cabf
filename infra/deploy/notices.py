"""Creates the SNS topic of the notices on an emulator. On AWS, the stack `operations` creates the topic."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from infra.deploy.target import Target

Subscription = Mapping[str, str]
OURS = ("email", "http", "https")  # subscriptions with other protocols belong to the user


def make_topic(target: Target) -> None:
    """Create the topic, and give it exactly the subscriptions of the settings."""
    sns = target.client("sns")
    topic = sns.create_topic(Name=target.notices.rpartition(":")[2])["TopicArn"]
    for arn in _unwanted(target, _subscriptions(sns, topic)):
        sns.unsubscribe(SubscriptionArn=arn)
    for protocol, endpoint in target.subscriptions.items():
        sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)


def has_topic(target: Target) -> bool:
    """Return whether the topic has exactly the subscriptions of the settings. Raises ClientError if there is no
    topic."""
    found = list(_subscriptions(target.client("sns"), target.notices))
    missing = set(target.subscriptions.items()) - {(each["Protocol"], each["Endpoint"]) for each in found}
    return not missing and not _unwanted(target, found)


def delete_topic(target: Target) -> None:
    target.client("sns").delete_topic(TopicArn=target.notices)  # this also succeeds if there is no topic


def _subscriptions(sns: Any, topic: str) -> Iterator[Subscription]:
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
        yield from (found for found in page["Subscriptions"] if found["Protocol"] in OURS)


def _unwanted(target: Target, found: Iterable[Subscription]) -> list[str]:
    """Return the ARNs of the subscriptions that are not in the settings. A subscription that its owner has not
    confirmed has no ARN. Such a subscription cannot be removed, but it gets no notices, and it expires."""
    unwanted = [each for each in found if target.subscriptions.get(each["Protocol"]) != each["Endpoint"]]
    return [arn for each in unwanted if (arn := each["SubscriptionArn"]).startswith("arn:")]
