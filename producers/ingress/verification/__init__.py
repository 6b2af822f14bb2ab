"""What a signature check needs beside the request's own bytes, and when it is made; the checks are `providers/`.

In reading order: `inputs` (live secrets, the sender's address, certificates), `certificates` (fetched from allowed
hosts and kept), `fetch_budget` (how many fetches strangers can cause), `dear_checks` (what costs milliseconds waits for
its turn).
"""
