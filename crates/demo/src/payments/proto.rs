//! `shop.v1.Payments`: what a generator would write for
//!
//! ```proto
//! package shop.v1;
//! service Payments { rpc Charge(ChargeRequest) returns (ChargeReply); }
//! message ChargeRequest { int64 order_id = 1; uint64 amount_cents = 2; string card = 3; }
//! message ChargeReply { string authorization = 1; }
//! ```

use std::convert::Infallible;

use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, BoxFuture, Bytes, Context, Poll, Service, StdError};
use tonic::server::{NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

const CHARGE: &str = "/shop.v1.Payments/Charge";

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ChargeRequest {
    #[prost(int64, tag = "1")]
    pub(crate) order_id: i64,
    #[prost(uint64, tag = "2")]
    pub(crate) amount_cents: u64,
    #[prost(string, tag = "3")]
    pub(crate) card: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ChargeReply {
    #[prost(string, tag = "1")]
    pub(crate) authorization: String,
}

/// The client side, over any channel.
#[derive(Clone, Debug)]
pub(crate) struct PaymentsClient<T> {
    channel: T,
}

impl<T> PaymentsClient<T>
where
    T: GrpcService<Body> + Clone,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    pub(crate) fn new(channel: T) -> Self {
        Self { channel }
    }

    /// # Errors
    /// The status that the server answers, or `UNAVAILABLE` where there is none.
    pub(crate) async fn charge(&self, request: ChargeRequest) -> Result<ChargeReply, Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel.clone());
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.into().to_string()))?;
        let path = http::uri::PathAndQuery::from_static(CHARGE);
        let codec: ProstCodec<ChargeRequest, ChargeReply> = ProstCodec::default();
        Ok(grpc
            .unary(Request::new(request), path, codec)
            .await?
            .into_inner())
    }
}

/// The server side.
pub(crate) trait Payments: Clone + Send + Sync + 'static {
    /// Takes the money.
    fn charge(
        self,
        request: ChargeRequest,
    ) -> impl Future<Output = Result<ChargeReply, Status>> + Send;
}

/// Serves an implementation over tonic.
#[derive(Clone, Debug)]
pub(crate) struct PaymentsServer<P>(pub(crate) P);

impl<P> NamedService for PaymentsServer<P> {
    const NAME: &'static str = "shop.v1.Payments";
}

impl<P: Payments> Service<http::Request<Body>> for PaymentsServer<P> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _task: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != CHARGE {
            return Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) });
        }
        let method = Charge(self.0.clone());
        Box::pin(async move {
            let codec: ProstCodec<ChargeReply, ChargeRequest> = ProstCodec::default();
            Ok(tonic::server::Grpc::new(codec).unary(method, request).await)
        })
    }
}

struct Charge<P>(P);

impl<P: Payments> UnaryService<ChargeRequest> for Charge<P> {
    type Response = ChargeReply;
    type Future = BoxFuture<Response<ChargeReply>, Status>;

    fn call(&mut self, request: Request<ChargeRequest>) -> Self::Future {
        let payments = self.0.clone();
        Box::pin(async move {
            payments
                .charge(request.into_inner())
                .await
                .map(Response::new)
        })
    }
}
