"""The console: a web application for the people on call, as a role of its own.

Reads through few bounded, read-only connections; everything that changes something is a POST with a token, and goes
the way that the command line goes. `app` puts it together; `visits` is the gate of its pages, `bearer` that of its
interface for programs (`admin`).
"""
