"""What is measured: each section has tasks, which take turns within a repetition."""
