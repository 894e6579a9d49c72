"""A client of ours under a name that is not its own: `by_another_name.py MODULE NAME`."""

import importlib
import inspect
import sys

from harness.clients.reference import LiveClient, main

module, name = sys.argv[1:]
[client] = [
    member
    for _, member in inspect.getmembers(importlib.import_module(module), inspect.isclass)
    if issubclass(member, LiveClient) and member.__module__ == module
]
client.name = name
main(client)
