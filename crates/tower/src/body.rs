//! The response body of both layers: a hop ends when its last byte went by.

use std::fmt::Display;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use opentelemetry::Context;
use pin_project_lite::pin_project;

use crate::context::error_kind;
use crate::hop::{Hop, poll_in};

pin_project! {
    /// Passes a body on unchanged and ends the hop's span at its end, its trailers or its error.
    ///
    /// Size hint and end of stream are those of the body inside. If it is dropped before its end, the
    /// span ends as cancelled, except on a client, which need not read a body.
    #[derive(Debug)]
    pub struct HopBody<B> {
        // Before the hop, so that what it still holds ends within it.
        #[pin]
        inner: B,
        cx: Context,
        hop: Option<Hop>,
    }
}

impl<B: Body> HopBody<B> {
    pub(crate) fn new(inner: B, cx: Context, hop: Option<Hop>) -> Self {
        let mut body = Self { inner, cx, hop };
        if body.inner.is_end_stream() {
            // Nobody will ask an empty body for anything.
            finish(&mut body.hop);
        }
        body
    }
}

impl<B> Body for HopBody<B>
where
    B: Body,
    B::Error: Display,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        task: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let frame = ready!(poll_in(this.cx, this.hop, || this
            .inner
            .as_mut()
            .poll_frame(task)));
        if let Some(hop) = this.hop {
            match &frame {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        hop.data(data.remaining());
                    } else if let Some(trailers) = frame.trailers_ref() {
                        hop.trailers(trailers);
                    }
                }
                Some(Err(error)) => {
                    hop.fail(error_kind::<B::Error>(), error.to_string());
                    *this.hop = None;
                }
                None => finish(this.hop),
            }
        }
        if this.inner.is_end_stream() {
            finish(this.hop);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn finish(hop: &mut Option<Hop>) {
    if let Some(mut hop) = hop.take() {
        hop.finish();
    }
}
