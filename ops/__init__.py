"""What people run: the command line, the console, the supervisor of `ratchet up`, audit, redrives, sample and bench.

This folder may import every other one, and none imports it. What a payment is and what an event does to it belongs
below; here parts are put together, started, shown and stopped.
"""
