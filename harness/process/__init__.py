"""The client under test as a process: started, fed, listened to, and ended with all that it left behind."""

from harness.process.exits import ExitStatus
from harness.process.family import LeftOver, left_over
from harness.process.supervisor import ClientProcess

__all__ = ["ClientProcess", "ExitStatus", "LeftOver", "left_over"]
