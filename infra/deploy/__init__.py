"""The deploy driver: the same steps for the embedded cloud, LocalStack and AWS; only the target differs."""
