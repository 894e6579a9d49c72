"""The reference client, and the clients that get one decision wrong: programs, each run in a process of its own."""
