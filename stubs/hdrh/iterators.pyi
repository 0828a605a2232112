# Types for hdrhistogram 0.10: see histogram.pyi.
class HdrIterationValue:
    value_iterated_to: int
    value_iterated_from: int
    count_at_value_iterated_to: int
    count_added_in_this_iter_step: int
    total_count_to_this_value: int
    total_value_to_this_value: int
    percentile: float
