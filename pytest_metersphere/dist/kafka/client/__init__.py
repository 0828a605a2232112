"""The only place that knows kafka-python: its three clients, as far as they are needed.

What goes wrong there comes out as BrokerError. While one of the clients is open, kafka-python's loggers
are quiet, unless somebody has set their level: it logs every attempt to connect as an error.
"""

import warnings

with warnings.catch_warnings():
    # what it deprecates and what Python deprecates of it must not end a user's tests
    warnings.simplefilter("ignore")
    import kafka.admin
    import kafka.consumer.fetcher  # noqa: F401
