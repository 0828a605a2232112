"""The conftest of test projects that need a server: a fixture `base_url`, and what it was asked."""

from __future__ import annotations

SERVER = """
import http.server, json, pathlib, threading

import pytest


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    counted = 0
    lock = threading.Lock()

    def do_GET(self):
        with Handler.lock:
            Handler.counted += 1
        status = int(self.path.partition("status=")[2] or 200)
        body = json.dumps({"status": "queued", "path": self.path}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


@pytest.fixture(scope="session")
def base_url(request):
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()
    pathlib.Path(request.config.rootpath, "served").write_text(str(Handler.counted))
"""
"""A server in the pytest process: 200 for every path, `?status=N` asks for another; the number of
requests that it has answered stands in the file `served` at the end."""
