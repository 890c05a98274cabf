"""How Hireflow is run and deployed: the embedded cloud (`infra.local`) and the deploy driver (`infra.deploy`)."""
