"""One connection, in the place of uvicorn's: what is refused before a request exists, and how an answer goes out.

In reading order: `protocol` (a connection's life, its bounds and deadlines), `framing` (which heads can be read in one
way only), `connection_places` (how many connections, in all and of one address), `uvicorn_parts` (the request cycle,
flow control and buffer that ours replace). It knows no path, no provider and no record.
"""
