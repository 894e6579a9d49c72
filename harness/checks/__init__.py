"""The catalogue of checks: pure functions of a journal. The view that they share comes first."""
