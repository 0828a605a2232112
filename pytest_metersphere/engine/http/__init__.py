"""The HTTP client behind `vu.http`."""

from pytest_metersphere.engine.http.client import HttpClient
from pytest_metersphere.engine.http.response import Headers, Response, Timings
from pytest_metersphere.engine.http.thread_client import ThreadHttpClient
from pytest_metersphere.engine.http.tls import tls_context

__all__ = ["Headers", "HttpClient", "Response", "ThreadHttpClient", "Timings", "tls_context"]
