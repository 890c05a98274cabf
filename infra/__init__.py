"""Run and deploy Hireflow: the embedded cloud is in `infra.local`, the deployment to AWS in `infra.deploy`."""
