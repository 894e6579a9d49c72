"""The same client with the two mistakes that are made most: it keeps its first token, and forgets its handle."""

from __future__ import annotations

import asyncio

from client import App
from google.genai import types


class NaiveApp(App):
    """Right in everything but the two decisions below."""

    token: str | None = None

    async def credential(self) -> str:
        self.token = self.token or await super().credential()
        return self.token

    def remember(self, update: types.LiveServerSessionResumptionUpdate) -> None:
        pass


if __name__ == "__main__":
    asyncio.run(NaiveApp().run())
