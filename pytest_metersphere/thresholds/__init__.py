"""What a scenario must keep: the grammar of thresholds, and the judge of what was observed."""
