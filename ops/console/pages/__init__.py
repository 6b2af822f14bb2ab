"""The console's pages, one file per subject. Each file's `routes` lists what `ops.console.app` serves."""
