"""Plays scenarios against a Live API client and judges what it did. Imports nothing, so that every part stays light."""
