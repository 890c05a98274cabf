"""The deploy driver. It does the same steps for the embedded cloud, LocalStack and AWS; only the target differs."""
