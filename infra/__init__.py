"""Runs and deploys Hireflow. `infra.local` runs the embedded cloud, and `infra.deploy` deploys to all stages."""
