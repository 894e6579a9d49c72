"""Clients that get one decision wrong: each trips the check that it is named for. `harness selftest` plays them."""
