"""Measures this engine beside other load generators: `python -m benchmarks.compare`, or `make bench`.

One run of it, on two cores: the server on one, whatever makes the load on the other. All take turns within
each repetition, so that a slow minute of the machine meets all of them. What is compared is the CPU time that
the kernel charged to a generator's whole tree of processes, for each request that the server counted.
"""
