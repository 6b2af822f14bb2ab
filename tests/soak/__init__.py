"""A `ratchet up` under mixed traffic for hours, looked at every minute, and what its figures say afterwards.

`others` are the providers that the sample does not play, `traffic` what is posted, `posting` posts it, `sampling`
looks at processes and brokers, `slopes` says whether a figure creeps, `page` and `chart` write docs/soak.md, `run`
does it all.
"""
