//! An OTLP/gRPC client that sends bytes as they are, so that it costs next to nothing.

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use std::net::SocketAddr;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A connection to an OTLP/gRPC receiver. Clones share it.
#[derive(Debug, Clone)]
pub struct OtlpClient {
    grpc: tonic::client::Grpc<Channel>,
}

impl OtlpClient {
    /// Connects, without TLS.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?
            .connect()
            .await?;
        Ok(Self {
            grpc: tonic::client::Grpc::new(channel),
        })
    }

    /// Sends an `ExportTraceServiceRequest` and waits for the answer: how many spans were
    /// rejected, and why (0 and "" if none).
    ///
    /// # Errors
    /// The receiver's status, or `UNAVAILABLE` if the connection broke.
    pub async fn export(&mut self, request: Bytes) -> Result<(i64, String), Status> {
        self.grpc
            .ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(EXPORT);
        let answer = self
            .grpc
            .unary(Request::new(request), path, RawCodec)
            .await?
            .into_inner();
        let answer = ExportTraceServiceResponse::decode(answer)
            .map_err(|error| Status::internal(error.to_string()))?;
        let partial = answer.partial_success.unwrap_or_default();
        Ok((partial.rejected_spans, partial.error_message))
    }
}

/// Messages are bytes on this side.
#[derive(Debug, Clone, Copy, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(message);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(64 << 10, 64 << 10)
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let len = from.remaining();
        Ok(Some(from.copy_to_bytes(len)))
    }
}
