// A service of the shop and its caller, instrumented by hand with the OpenTelemetry SDK for Node.
//
//   node app.mjs server   answers GET /orders/{id}; prints its port; ends when its stdin does
//   node app.mjs client   calls $SERVER for each order of $ORDERS; prints each trace id
//
// $EXPORT says how spans are sent to $OTLP: "json" or "proto" (gzipped), both over HTTP.
import { createRequire } from 'node:module';
import http from 'node:http';

const require = createRequire(`${process.env.HOPLOG_TEST_NODE_MODULES}/`);
const { context, propagation, trace, SpanKind, SpanStatusCode } = require('@opentelemetry/api');
const { NodeTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-node');
const { resourceFromAttributes } = require('@opentelemetry/resources');

const exporters = {
  json: '@opentelemetry/exporter-trace-otlp-http',
  proto: '@opentelemetry/exporter-trace-otlp-proto',
};
const role = process.argv[2];
const { OTLPTraceExporter } = require(exporters[process.env.EXPORT]);
const exporter = new OTLPTraceExporter({
  url: `${process.env.OTLP}/v1/traces`,
  ...(process.env.EXPORT === 'proto' ? { compression: 'gzip' } : {}),
});
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': `node-${role}` }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
provider.register(); // W3C trace context and an async context manager
const tracer = trace.getTracer('shop');

const within = (name, options, parent, work) =>
  tracer.startActiveSpan(name, options, parent, async span => {
    try {
      return await work(span);
    } finally {
      span.end();
    }
  });

async function serve() {
  const server = http.createServer((request, response) => {
    const caller = propagation.extract(context.active(), request.headers);
    const id = request.url.split('/').pop();
    const attributes = { 'http.request.method': request.method, 'http.route': '/orders/{id}' };
    const options = { kind: SpanKind.SERVER, attributes };
    within('GET /orders/{id}', options, caller, async span => {
      const code = await within('load order', {}, context.active(), async inner => {
        inner.setAttribute('order.id', id);
        if (id !== 'missing') return 200;
        inner.recordException(new RangeError('there is no such order'));
        inner.setStatus({ code: SpanStatusCode.ERROR, message: 'there is no such order' });
        return 500;
      });
      span.setAttribute('http.response.status_code', code);
      if (code >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      response.writeHead(code).end();
    });
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  process.stdin.resume();
  await new Promise(ended => process.stdin.once('end', ended));
  server.closeAllConnections();
  server.close();
}

async function call() {
  for (const id of process.env.ORDERS.split(',')) {
    const options = { kind: SpanKind.SERVER, attributes: { 'http.request.method': 'POST' } };
    await within('POST /checkout', options, context.active(), async root => {
      await within('GET', { kind: SpanKind.CLIENT }, context.active(), async span => {
        const headers = {};
        propagation.inject(context.active(), headers);
        const code = await get(`${process.env.SERVER}/orders/${id}`, headers);
        span.setAttribute('http.response.status_code', code);
      });
      console.log(root.spanContext().traceId);
    });
  }
}

const get = (url, headers) => new Promise((done, failed) => {
  const request = http.get(url, { headers, agent: false }, response => {
    response.resume();
    response.on('end', () => done(response.statusCode));
  });
  request.on('error', failed);
});

await (role === 'server' ? serve() : call());
await provider.shutdown(); // exports what is left
