"""Plays one plan: starts the parts in order, does what the story says, fires the faults, stops everything."""
