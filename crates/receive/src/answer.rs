//! OTLP answers as bytes: `ExportTraceServiceResponse` and `google.rpc.Status`, protobuf and JSON.

use crate::receiver::Taken;
use crate::refusal::Refusal;
use bytes::Bytes;
use hoplog_otlp::write;
use prost::Message;
use serde_json::json;

/// `ExportTraceServiceResponse`: empty on full success, else `partial_success`.
pub(crate) fn protobuf(taken: &Taken) -> Bytes {
    let Some(message) = &taken.message else {
        return Bytes::new();
    };
    let mut partial = Vec::new();
    write::uint(&mut partial, 1, u64::from(taken.rejected));
    write::bytes(&mut partial, 2, message.as_bytes());
    let mut response = Vec::new();
    write::bytes(&mut response, 1, &partial);
    response.into()
}

/// The same in OTLP/JSON, where 64-bit numbers are strings.
pub(crate) fn json(taken: &Taken) -> Bytes {
    let response = match &taken.message {
        None => json!({}),
        Some(message) => json!({
            "partialSuccess": { "rejectedSpans": taken.rejected.to_string(), "errorMessage": message }
        }),
    };
    response.to_string().into()
}

/// `google.rpc.Status` of a refusal.
pub(crate) fn status_protobuf(refusal: &Refusal) -> Bytes {
    let status = tonic_types::Status {
        code: refusal.code().into(),
        message: refusal.to_string(),
        details: Vec::new(),
    };
    status.encode_to_vec().into()
}

/// The same in JSON.
pub(crate) fn status_json(refusal: &Refusal) -> Bytes {
    let code: i32 = refusal.code().into();
    json!({ "code": code, "message": refusal.to_string() })
        .to_string()
        .into()
}
