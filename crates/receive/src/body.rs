//! Reading a request's body: never more than the limit, compressed or not.

use crate::receiver::too_large;
use crate::refusal::Refusal;
use axum::body::Body;
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::io::Read;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Largest window a zstd frame may ask for: 8 MiB, what RFC 8878 asks every decoder to support.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Bytes of a refused request that are read on, so that its sender sees the answer …
const DISCARD_BYTES: usize = 256 << 20;
/// … for how long …
const DISCARD_TIME: Duration = Duration::from_secs(10);
/// … and of how many requests at once.
pub(crate) const DISCARDS: usize = 16;

/// `Content-Encoding`s that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

impl Encoding {
    /// What to answer in `Accept-Encoding`.
    pub(crate) const ACCEPTED: &'static str = "gzip, zstd, deflate";

    pub(crate) fn parse(header: Option<&str>) -> Result<Self, Refusal> {
        match header
            .map(|name| name.trim().to_ascii_lowercase())
            .as_deref()
        {
            None | Some("" | "identity") => Ok(Self::Identity),
            Some("gzip" | "x-gzip") => Ok(Self::Gzip),
            Some("deflate" | "zlib") => Ok(Self::Deflate),
            Some("zstd") => Ok(Self::Zstd),
            Some(other) => Err(Refusal::Encoding(format!(
                "Content-Encoding {other:?} is not known here; send identity, gzip, zstd or deflate"
            ))),
        }
    }

    /// Undoes the encoding, at most `limit` bytes of it.
    pub(crate) fn decode(self, body: Bytes, limit: usize) -> Result<Bytes, Refusal> {
        match self {
            Self::Identity => Ok(body),
            Self::Gzip => capped(
                flate2::bufread::MultiGzDecoder::new(&body[..]),
                limit,
                "gzip",
            ),
            Self::Deflate => capped(
                flate2::bufread::ZlibDecoder::new(&body[..]),
                limit,
                "deflate",
            ),
            Self::Zstd => {
                let broken = |error| malformed("zstd", &error);
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(&body[..]).map_err(broken)?;
                decoder
                    .window_log_max(ZSTD_WINDOW_LOG_MAX)
                    .map_err(broken)?;
                capped(decoder, limit, "zstd")
            }
        }
    }
}

fn capped(decoder: impl Read, limit: usize, name: &str) -> Result<Bytes, Refusal> {
    let mut plain = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder
        .take(most)
        .read_to_end(&mut plain)
        .map_err(|error| malformed(name, &error))?;
    if plain.len() > limit {
        Err(too_large(limit))
    } else {
        Ok(plain.into())
    }
}

fn malformed(name: &str, error: &std::io::Error) -> Refusal {
    Refusal::Malformed(format!("the body is not valid {name}: {error}"))
}

/// The body's bytes, still encoded, at most `limit` of them.
pub(crate) async fn read(body: &mut Body, limit: usize) -> Result<Bytes, Refusal> {
    let read = Limited::new(body, limit).collect().await;
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|error| {
            if error.downcast_ref::<LengthLimitError>().is_some() {
                too_large(limit)
            } else {
                Refusal::Malformed(format!("the body ended early: {error}"))
            }
        })
}

/// Reads on what is left of a refused request and throws it away, if there is a turn for it. Why at
/// all: a sender that is still writing when the connection closes sees a broken pipe instead of
/// the answer, cannot know that it must not retry, and sends it all again.
///
/// False if there is no turn: that many senders hold the server up already, so the connection is to
/// be closed on this one.
pub(crate) async fn discard(body: &mut Body, turns: &Semaphore) -> bool {
    if body.is_end_stream() {
        return true;
    }
    let Ok(_turn) = turns.try_acquire() else {
        return false;
    };
    let mut left = DISCARD_BYTES;
    let discarding = async {
        while let Some(Ok(frame)) = body.frame().await {
            let read = frame.data_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    // Whether the body ended or patience did: the answer goes out now.
    let _ended = tokio::time::timeout(DISCARD_TIME, discarding).await;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::Instant;

    #[test]
    fn every_encoding_comes_back_and_a_bomb_does_not() {
        let plain = vec![0_u8; 100_000];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&plain).unwrap();
        let packed = [
            (Encoding::Gzip, gzip.finish().unwrap()),
            (Encoding::Deflate, zlib.finish().unwrap()),
            (Encoding::Zstd, zstd::encode_all(&plain[..], 1).unwrap()),
        ];
        for (encoding, packed) in packed {
            let packed = Bytes::from(packed);
            assert_eq!(encoding.decode(packed.clone(), plain.len()).unwrap(), plain);
            let bomb = encoding.decode(packed.clone(), plain.len() - 1);
            assert!(matches!(bomb, Err(Refusal::TooLarge(_))), "{encoding:?}");
            let cut = encoding.decode(packed.slice(..packed.len() - 1), plain.len());
            assert!(matches!(cut, Err(Refusal::Malformed(_))), "{encoding:?}");
        }
    }

    #[test]
    fn an_unknown_encoding_is_named() {
        let refusal = Encoding::parse(Some("br")).unwrap_err();
        assert!(refusal.to_string().contains("\"br\""));
        assert_eq!(Encoding::parse(Some("GZIP")).unwrap(), Encoding::Gzip);
    }
    /// `chunks` of 1 MiB, and then none that ever comes. How many have been read.
    fn endless(chunks: usize) -> (Body, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&read);
        let chunks = stream::iter(0..chunks).map(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from_static(&[0; 1 << 20]))
        });
        (Body::from_stream(chunks.chain(stream::pending())), read)
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_refused_body_so_much_is_read_and_no_longer_than_so() {
        let turns = Semaphore::new(1);
        let begun = Instant::now();
        let (mut whole, read) = endless(1_000);
        assert!(discard(&mut whole, &turns).await);
        assert_eq!(
            (read.load(Ordering::Relaxed), begun.elapsed()),
            (256, Duration::ZERO)
        );

        let (mut stuck, read) = endless(3);
        assert!(discard(&mut stuck, &turns).await);
        assert_eq!(
            (read.load(Ordering::Relaxed), begun.elapsed()),
            (3, DISCARD_TIME)
        );
        assert_eq!(turns.available_permits(), 1, "the turn is given back");
    }

    #[tokio::test]
    async fn without_a_turn_nothing_is_read() {
        let turns = Semaphore::new(0);
        let (mut body, read) = endless(1);
        assert!(!discard(&mut body, &turns).await);
        assert_eq!(read.load(Ordering::Relaxed), 0);
        assert!(discard(&mut Body::empty(), &turns).await, "none is needed");
    }
}
