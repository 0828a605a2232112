"""The node-controller: the HTTP service of one load machine, and the slices that it runs."""
