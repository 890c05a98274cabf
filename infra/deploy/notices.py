"""Creates the SNS topic of the notices on an emulator. On AWS, the stack `operations` creates the topic."""

from collections.abc import Iterator
from typing import Any

from infra.deploy.target import Target

OURS = ("email", "http", "https")  # other subscriptions of the topic belong to the user


def make_topic(target: Target) -> None:
    """Create the topic, and give it exactly the subscriptions of the settings."""
    sns = target.client("sns")
    topic = sns.create_topic(Name=target.notices.rpartition(":")[2])["TopicArn"]
    for found in _subscriptions(sns, topic):
        # A subscription that nobody has confirmed yet has no ARN, and expires.
        if target.subscriptions.get(found["Protocol"]) != found["Endpoint"] and found["SubscriptionArn"][:4] == "arn:":
            sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"])
    for protocol, endpoint in target.subscriptions.items():
        sns.subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)


def subscribed(target: Target) -> dict[str, str]:
    """Return the subscriptions of the topic, by protocol. Raises ClientError if there is no topic."""
    return {found["Protocol"]: found["Endpoint"] for found in _subscriptions(target.client("sns"), target.notices)}


def delete_topic(target: Target) -> None:
    target.client("sns").delete_topic(TopicArn=target.notices)  # this also succeeds if there is no topic


def _subscriptions(sns: Any, topic: str) -> Iterator[dict[str, str]]:
    for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic):
        yield from (found for found in page["Subscriptions"] if found["Protocol"] in OURS)
