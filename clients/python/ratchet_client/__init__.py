"""A publisher to Ratchet and a reader of what it publishes; `react` runs handlers, `execute` carries out commands.

Nothing of Ratchet itself is imported here, and nothing of its database is read: what stands on its topics is all.
"""

from ratchet_client.publish import Publisher, Record, command, event
from ratchet_client.read import Reader

__all__ = ["Publisher", "Reader", "Record", "command", "event"]
