//! What one export request may hold.

/// Bounds of one export request. Over `message_bytes`, `spans` or `groups` the whole request is
/// refused; over the others only the spans concerned are rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole request, uncompressed; 64 MiB by default, never over 4 GiB.
    pub message_bytes: usize,
    /// Spans in one request, rejected ones included; 200,000 by default.
    pub spans: u32,
    /// Bytes of one span; 1 MiB by default.
    pub span_bytes: u32,
    /// Arrays and maps nested in one attribute's value; 32 by default. Apart from this, more
    /// than 100 nested messages are malformed, as prost has it.
    pub depth: u32,
    /// `ResourceSpans` and `ScopeSpans` in one request, together; 20,000 by default.
    pub groups: u32,
    /// Bytes of a resource and a scope together, which every request they touch stores again;
    /// 64 KiB by default.
    pub group_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 << 20,
            spans: 200_000,
            span_bytes: 1 << 20,
            depth: 32,
            groups: 20_000,
            group_bytes: 64 << 10,
        }
    }
}

impl Limits {
    /// No bound but what the wire format itself has: for bytes that passed a limit before.
    pub const NONE: Self = Self {
        message_bytes: u32::MAX as usize,
        spans: u32::MAX,
        span_bytes: u32::MAX,
        depth: u32::MAX,
        groups: u32::MAX,
        group_bytes: u32::MAX,
    };
}
