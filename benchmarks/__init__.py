"""Measurements that tests do not make: each module is one command and writes a table to `results/`."""
