//! Callers that give up.

use std::pin::pin;
use std::task::Poll;

/// Polls a call so many times at most, each time when it can go on, and drops it.
pub async fn cut_short<T>(call: impl Future<Output = T>, mut polls: u32) -> Option<T> {
    let mut call = pin!(call);
    std::future::poll_fn(|context| {
        let Some(left) = polls.checked_sub(1) else {
            return Poll::Ready(None);
        };
        polls = left;
        match call.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::yield_now;

    #[tokio::test]
    async fn a_call_is_polled_as_often_as_said() {
        let call = || async {
            yield_now().await;
            yield_now().await;
            7
        };
        assert_eq!(cut_short(call(), 0).await, None);
        assert_eq!(cut_short(call(), 2).await, None);
        assert_eq!(cut_short(call(), 3).await, Some(7));
    }
}
