"""The image and compose.yaml on a real container engine: built, loaded, killed, scaled, taken down, and compared.

`engine.py` finds the engine and speaks with it, `run.py` plays the trial, `reconcile.py` compares in the network that
nothing leads into, `page.py` writes docs/containers.md.
"""
