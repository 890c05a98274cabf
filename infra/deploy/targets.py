"""Describes the target of a deployment to AWS by the outputs of the stage's stacks and by its settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.aws import authorities
from infra.deploy import parameters
from infra.deploy.kept_buckets import OUTPUTS
from infra.deploy.parameters import profile_of
from infra.deploy.target import APP, CA_FILE, Target, queue_names
from infra.settings.chosen import Chosen


@dataclass(frozen=True)
class Targets:
    """Makes the targets of one stage. `source`, `work` and `aws` are those of the target."""

    stage: str
    source: Path
    work: Path
    aws: Mapping[str, str]

    def wanted(self, outputs: Mapping[str, str], chosen: Chosen) -> Target:
        """Return the target of the deployment. Raises KeyError if outputs are missing."""
        profile = profile_of(chosen)
        proxy = parameters.through_proxy(profile, parameters.own_parameters(self.source, self.stage))
        vpc = parameters.vpc(profile, outputs, proxy=proxy)
        login = parameters.logins(self.stage, profile, outputs, chosen, proxy=proxy)
        direct = vpc is not None and not proxy
        ca = self._authorities(chosen, direct=direct)
        functions = {
            **{name: outputs[output] for name, output in OUTPUTS.items()},
            "DEAD_LETTER_QUEUE": outputs["DeadLetterQueueName"],
            "NOTICE_TOPIC": outputs.get("NoticesTopicArn", ""),  # `plan` reads the stack of the previous release
            **login.functions,
            **chosen.of_functions(),
            "DATABASE_CONNECTIONS": parameters.connections(chosen),
            **({"AWS_CALLS": "relay"} if profile.relay else {}),
            **({"DATABASE_CA": CA_FILE} if ca else {}),
            **({"S3_PUBLIC_URL": url} if (url := self.aws.get("AWS_ENDPOINT_URL")) else {}),
        }
        owner = outputs["OwnerSecretArn"] if direct else ""
        known = (self.stage, self.source, self.work, functions, self.aws, login.migration, login.secrets)
        return Target(*known, vpc, ca, chosen.subscriptions(), owner, tracing=chosen.read("TRACING"))

    def known(self, outputs: Mapping[str, str]) -> Target:
        """Return a target without database logins. Buckets that are missing in `outputs` get a dummy name."""
        buckets = {name: outputs.get(output, f"{APP}-{self.stage}-none") for name, output in OUTPUTS.items()}
        return Target(self.stage, self.source, self.work, {**buckets, **queue_names(self.stage)}, self.aws)

    def _authorities(self, chosen: Chosen, *, direct: bool) -> Path | None:
        """Return the file with the certificate authorities of the database. `direct`: functions use no proxy."""
        if chosen.given("DATABASE_CA"):
            return Path(chosen.read("DATABASE_CA"))
        return authorities.write(self.aws["AWS_DEFAULT_REGION"], self.work) if direct else None
