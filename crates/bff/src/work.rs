//! Work that goes on when whoever asked for it goes away, and that the end of the program waits for: what it has got from
//! the provider is nowhere else until it is stored.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

#[derive(Debug)]
pub(crate) struct Work(Arc<watch::Sender<usize>>);

struct UnderWay(Arc<watch::Sender<usize>>);

impl Default for Work {
    fn default() -> Work {
        Work(Arc::new(watch::Sender::new(0)))
    }
}

impl Work {
    /// The same work, which counts from now until it is done or dropped.
    pub(crate) fn counted<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        self.0.send_modify(|count| *count += 1);
        let under_way = UnderWay(Arc::clone(&self.0));
        async move {
            let done = work.await;
            drop(under_way);
            done
        }
    }

    pub(crate) async fn done(&self) {
        // The sender is here, so it does not go away.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
