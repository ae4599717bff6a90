//! Dictionaries.

use super::support::{check, fill, fresh, open};
use hoplog_store::conformance::build::trace;
use hoplog_store::conformance::read;
use hoplog_store::{Maintenance, TraceReader};

#[tokio::test]
async fn a_trained_dictionary_is_used_kept_and_not_trained_again() {
    let (dir, store) = fresh().await;
    fill(&store, 1..101).await;
    assert!(!store.train().await.unwrap(), "too few rows");
    fill(&store, 101..5_101).await;
    let before = store.health().await.unwrap();
    assert!(store.train().await.unwrap());
    assert!(!store.train().await.unwrap(), "it is good enough");
    fill(&store, 5_101..6_101).await;
    let after = store.health().await.unwrap();
    assert_eq!(after.dictionaries, before.dictionaries + 1);
    assert!(after.packed_bytes_per_span < before.packed_bytes_per_span);
    assert_eq!(check(&store).await.differences, []);
    store.close().await.unwrap();
    let again = open(dir.path()).await;
    assert_eq!(read(&again, trace(6_000)).await.spans.len(), 6);
    assert!(again.get(&trace(1)).await.unwrap().is_some());
    assert_eq!(
        again.health().await.unwrap().dictionaries,
        after.dictionaries
    );
}
