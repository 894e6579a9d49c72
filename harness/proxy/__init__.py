"""Links that can be made to fail: the port, and what stands behind it (Toxiproxy, or the built-in relay)."""
