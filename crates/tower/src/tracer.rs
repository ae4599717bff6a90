//! Which tracer makes a span: that of the service at hand, where several live in one process.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use opentelemetry::Context;
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{Span, SpanBuilder, TraceContextExt, Tracer};
use opentelemetry_sdk::trace::SdkTracer;

use crate::context::Baton;

/// The instrumentation scope of every span made here.
pub(crate) const SCOPE: &str = "hoplog-tower";

/// Whether the global provider is one of ours, so that its trace IDs are known to be random.
static GLOBAL_IS_OURS: AtomicBool = AtomicBool::new(false);

pub(crate) fn global_is_ours() {
    GLOBAL_IS_OURS.store(true, Ordering::Relaxed);
}

/// A tracer, cheap to clone.
#[derive(Clone)]
pub(crate) enum Handle {
    /// Of one `Telemetry`.
    Own(Arc<SdkTracer>),
    /// The process's, looked up at its first use: layers are often built before it is installed.
    Global(Arc<OnceLock<BoxedTracer>>),
}

impl Handle {
    pub(crate) fn own(sdk: SdkTracer) -> Self {
        Self::Own(Arc::new(sdk))
    }

    pub(crate) fn global() -> Self {
        Self::Global(Arc::default())
    }

    /// The tracer of the service that the current work belongs to, else the global one.
    pub(crate) fn current() -> Self {
        Context::map_current(|cx| cx.get::<Baton>().and_then(Baton::tracer).cloned())
            .unwrap_or_else(Self::global)
    }

    /// Starts a span under `parent` and gives the context in which it is the current one.
    pub(crate) fn start(&self, builder: SpanBuilder, parent: &Context) -> Context {
        match self {
            Self::Own(sdk) => self.enter(sdk.build_with_context(builder, parent), parent),
            Self::Global(cell) => {
                self.enter(resolve(cell).build_with_context(builder, parent), parent)
            }
        }
    }

    /// The given context as one of this tracer's service, without a span.
    pub(crate) fn adopt(&self, cx: &Context) -> Context {
        Baton::of(cx).with_tracer(self).put_into(cx)
    }

    fn enter<S>(&self, span: S, parent: &Context) -> Context
    where
        S: Span + Send + Sync + 'static,
    {
        let baton = Baton::of(parent);
        let is_root = !parent.span().span_context().is_valid() && self.makes_random_ids();
        if !is_root && baton.tracer().is_some_and(|tracer| tracer.is(self)) {
            return parent.with_span(span);
        }
        let mut baton = baton.with_tracer(self);
        if is_root {
            baton = baton.random(span.span_context().trace_id());
        }
        baton.put_into(parent).with_span(span)
    }

    fn makes_random_ids(&self) -> bool {
        matches!(self, Self::Own(_)) || GLOBAL_IS_OURS.load(Ordering::Relaxed)
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own(a), Self::Own(b)) => Arc::ptr_eq(a, b),
            (Self::Global(_), Self::Global(_)) => true,
            _ => false,
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own(_) => "Handle::Own",
            Self::Global(_) => "Handle::Global",
        })
    }
}

pub(crate) fn resolve(cell: &OnceLock<BoxedTracer>) -> &BoxedTracer {
    cell.get_or_init(|| global::tracer(SCOPE))
}
