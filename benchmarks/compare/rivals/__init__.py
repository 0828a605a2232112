"""One module for each load generator: how it is installed, told what to do, and read."""
