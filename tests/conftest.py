"""For all tests: no example of a property-based test has a deadline of its own, since a busy machine would miss it.

In CI the same examples are drawn each time, so that a red job is its own change's. And a job that was started with
Ctrl-C ignored, as shells start what runs in the background, would hand that on to every program that tests interrupt.
"""

from __future__ import annotations

import os
import signal

from hypothesis import settings

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("HARNESS_REQUIRE_ALL") else "local")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
