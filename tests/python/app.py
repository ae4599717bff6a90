"""A service of the shop and its caller, instrumented by hand with the OpenTelemetry SDK for Python.

    python app.py server   answers GET /orders/{id}; prints its port; ends when its stdin does
    python app.py client   calls $SERVER for each order of $ORDERS; prints each trace id

$EXPORT says how spans are sent to $OTLP: "http" (protobuf, gzipped) or "grpc".
"""

import http.client
import http.server
import os
import sys
import threading
from urllib.parse import urlsplit

from opentelemetry import context, propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode

tracer = trace.get_tracer("shop")


def exporter():
    if os.environ["EXPORT"] == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(endpoint=os.environ["OTLP"], insecure=True)
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    endpoint = os.environ["OTLP"] + "/v1/traces"
    return OTLPSpanExporter(endpoint=endpoint, compression=Compression.Gzip)


class Orders(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        caller = propagate.extract(dict(self.headers.items()))
        order = self.path.rsplit("/", 1)[-1]
        attributes = {"http.request.method": "GET", "http.route": "/orders/{id}"}
        with tracer.start_as_current_span(
            "GET /orders/{id}", context=caller, kind=SpanKind.SERVER, attributes=attributes
        ) as span:
            code = load(order)
            span.set_attribute("http.response.status_code", code)
            if code >= 500:
                span.set_status(Status(StatusCode.ERROR))
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_):
        pass


def load(order):
    with tracer.start_as_current_span("load order", attributes={"order.id": order}) as span:
        if order != "missing":
            return 200
        span.record_exception(LookupError("there is no such order"))
        span.set_status(Status(StatusCode.ERROR, "there is no such order"))
        return 500


def serve():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Orders)
    server.daemon_threads = False  # server_close waits for answers under way
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    server.shutdown()
    thread.join()
    server.server_close()


def call():
    address = urlsplit(os.environ["SERVER"]).netloc
    for order in os.environ["ORDERS"].split(","):
        root = tracer.start_span("POST /checkout", kind=SpanKind.SERVER)
        token = context.attach(trace.set_span_in_context(root))
        with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT) as span:
            headers = {}
            propagate.inject(headers)
            connection = http.client.HTTPConnection(address)
            connection.request("GET", f"/orders/{order}", headers=headers)
            answer = connection.getresponse()
            answer.read()
            connection.close()
            span.set_attribute("http.response.status_code", answer.status)
        context.detach(token)
        root.end()
        print(format(root.get_span_context().trace_id, "032x"), flush=True)


role = sys.argv[1]
provider = TracerProvider(resource=Resource.create({"service.name": f"python-{role}"}))
provider.add_span_processor(BatchSpanProcessor(exporter()))
trace.set_tracer_provider(provider)
serve() if role == "server" else call()
provider.shutdown()  # exports what is left
