"""Runs the functions of the embedded AWS in place of ministack, with queues and forked workers."""
