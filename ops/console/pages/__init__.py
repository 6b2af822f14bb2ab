"""The pages, one file a subject; each has `routes`, which the application puts together."""
