"""The scenario language: what a YAML file may say, and how it is found, read and resolved."""
