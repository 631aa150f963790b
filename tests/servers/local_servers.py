"""HTTP servers on this machine, in threads of the tests' process."""

import contextlib
import http.server
import threading


@contextlib.contextmanager
def running(handler, **attributes):
    """A server with these attributes for its handlers; it ends with the context."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    vars(server).update(attributes)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def address(server):
    """Its address, without a slash at the end."""
    return f"http://127.0.0.1:{server.server_port}"
