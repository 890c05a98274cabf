"""Sends events, notices and invocations to other services of AWS, at least once and in order.

A transaction writes a message to the table `outbox`. The function `outbox` reads this table inside the network of the
database, and the function `relay` sends the messages from outside of this network. Start with `relay`.

The package imports `core` and `cloud`.
"""
