"""The deploy driver. Its steps are the same for the embedded cloud, LocalStack and AWS; only the target differs."""
