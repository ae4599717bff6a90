//! The set-up's end: what goes out, and what happens when nobody takes it.

use hoplog_tower::{Operation, Telemetry};

use crate::support::listener;

/// On one thread, where an export that waits for the runtime while it blocks it would hang.
#[tokio::test]
async fn a_collector_that_is_not_there_is_told_and_does_not_hang() {
    let (listener, address) = listener().await;
    drop(listener);
    let telemetry = Telemetry::builder("orders")
        .ignore_environment()
        .endpoint(format!("http://{address}"))
        .build()
        .unwrap();
    Operation::step("lost").of(&telemetry).run(async {}).await;
    telemetry.flush().await.unwrap_err();
    Operation::step("lost too")
        .of(&telemetry)
        .run(async {})
        .await;
    let again = telemetry.clone();
    telemetry.shutdown().await.unwrap_err();
    again.shutdown().await.unwrap_err();
}
