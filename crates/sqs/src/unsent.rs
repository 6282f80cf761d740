//! Answers that are not taken yet: their bytes are counted until the connection lets go of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

/// Bytes of answers, over all connections.
#[derive(Default)]
pub struct Unsent {
    bytes: AtomicUsize,
    fell: Notify,
}

/// An answer that is counted.
struct Counted {
    answer: Vec<u8>,
    unsent: Arc<Unsent>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.unsent
            .bytes
            .fetch_sub(self.answer.len(), Ordering::Relaxed);
        self.unsent.fell.notify_waiters();
    }
}

impl Unsent {
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts an answer for as long as somebody holds its bytes.
    pub fn count(self: &Arc<Self>, answer: Vec<u8>) -> Bytes {
        self.bytes.fetch_add(answer.len(), Ordering::Relaxed);
        let unsent = Arc::clone(self);
        Bytes::from_owner(Counted { answer, unsent })
    }

    /// Waits until less than `bytes_max` are not taken.
    pub async fn below(&self, bytes_max: usize) {
        while self.bytes() >= bytes_max {
            let fell = self.fell.notified();
            tokio::pin!(fell);
            fell.as_mut().enable();
            if self.bytes() >= bytes_max {
                fell.await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_count_until_they_are_let_go() {
        let unsent = Arc::new(Unsent::default());
        let answer = unsent.count(vec![0; 10]);
        let part = answer.slice(..2);
        drop(answer);
        assert_eq!(unsent.bytes(), 10);
        let waiting = unsent.below(10);
        tokio::pin!(waiting);
        assert!(futures_poll(waiting.as_mut()).await.is_none());
        drop(part);
        waiting.await;
        assert_eq!(unsent.bytes(), 0);
    }

    /// Polls once.
    async fn futures_poll<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            let polled = std::pin::Pin::new(&mut future).poll(context);
            std::task::Poll::Ready(match polled {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
