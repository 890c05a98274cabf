"""The embedded cloud: Postgres and ministack (an emulator of AWS) run as processes of this machine.

The embedded cloud needs neither Docker nor an AWS account.
"""
