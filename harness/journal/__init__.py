"""The journal: every observable fact of a run, once, on one clock. Imports nothing else of the harness."""
