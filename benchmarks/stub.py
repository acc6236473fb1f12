"""S3 and Step Functions that answer at once with constants, and count the calls.

Only they can show the function's own time: any other stand-in takes time itself.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

EXECUTIONS = "arn:aws:states:us-east-2:123456789012:execution:glueworkshop:"
calls: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """Answers HeadObject and StartExecution, with connections kept alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_HEAD(self) -> None:
        """Describe the one object."""
        calls.append(self.command)
        self._answer(
            b"",
            {
                "ETag": '"5219b9e8d359c0a39aa3ecbbabb92b82"',
                "Last-Modified": "Tue, 24 Nov 2026 05:20:00 GMT",
                "Content-Length": "6748219",
                # The other headers of S3: every client parses them.
                "x-amz-id-2": "8dtVMVlVGbI9IhnSGHYwbCbaoBWyoXZCHAUH+Y3mDfh0RRIMC5Th6ZcXKiBQcXJxdqxZSBOFlcM=",
                "x-amz-request-id": "5WBEQGZB7ZR1XRQB",
                "x-amz-server-side-encryption": "AES256",
                "x-amz-version-id": "null",
                "Accept-Ranges": "bytes",
                "Content-Type": "text/csv",
                "x-amz-storage-class": "STANDARD",
                "x-amz-replication-status": "COMPLETED",
                "Cache-Control": "no-cache",
            },
        )

    def do_POST(self) -> None:
        """Start the one execution."""
        calls.append(self.command)
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"executionArn": EXECUTIONS + "name", "startDate": time.time() + 1}).encode()
        self._answer(body, {"Content-Type": "application/x-amz-json-1.0", "Content-Length": str(len(body))})

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def serve() -> str:
    """Serve in a thread and give the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def count() -> int:
    """Return the number of calls so far."""
    return len(calls)
