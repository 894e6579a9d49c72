"""The Gemini Live API, faked: usable alone, and knows nothing of the harness."""
