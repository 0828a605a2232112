"""Kafka: how it is reached, whether it is fit, and the way of frames there and back."""
