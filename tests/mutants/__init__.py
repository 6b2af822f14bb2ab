"""Planted faults: believable mistakes that do real harm, each a patch, and the runner that expects a test to notice."""
