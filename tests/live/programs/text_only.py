"""The reference client as an app without a microphone: it says so in its hello, and that it gives up after 20 s."""

from collections.abc import Mapping

from harness.clients.reference import LiveClient, main


class TextOnly(LiveClient):
    """Types, and never speaks."""

    name = "text-only"
    can = ("text", "resume", "state")
    policy: Mapping[str, object] = {"gives_up": {"after": "20s"}, "no_such_choice": True}


main(TextOnly)
