"""The embedded cloud: Postgres and ministack, a small AWS, run as processes of this machine.

It needs neither Docker nor an AWS account.
"""
