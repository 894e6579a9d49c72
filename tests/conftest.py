"""For all tests: in CI, property-based ones draw the same examples each time, so that a red job is its own change's."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("ci", derandomize=True)
if os.environ.get("HARNESS_REQUIRE_ALL"):
    settings.load_profile("ci")
