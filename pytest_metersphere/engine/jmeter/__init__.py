"""JMeter as an engine: test plans read and divided, a child process run, its results counted."""
