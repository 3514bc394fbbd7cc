//! How those who wait for a commit hear what their settlements did: the writer tells one of them, who tells
//! the others. To wake a task from another thread costs a system call, from its own next to nothing.

use relay_store::{Settled, StoreError};
use tokio::sync::oneshot;

/// Who waits to hear what a settlement did.
pub(crate) type Listener = oneshot::Sender<Told>;

/// What one of them is told.
pub(crate) struct Told {
    /// What its own settlement did.
    pub(crate) own: Result<Settled, StoreError>,
    _others: Others,
}

/// Those who are still to be told. They are when this is dropped, whatever becomes of who had to do it.
struct Others(Vec<(Listener, Result<Settled, StoreError>)>);

impl Drop for Others {
    fn drop(&mut self) {
        for (listener, own) in self.0.drain(..) {
            // Whoever does not wait any more does not need the answer.
            listener.send(Told { own, _others: Self(Vec::new()) }).ok();
        }
    }
}

/// Tells each what its settlement did.
pub(crate) fn tell_all(mut news: Vec<(Listener, Result<Settled, StoreError>)>) {
    if let Some((first, own)) = news.pop() {
        first.send(Told { own, _others: Others(news) }).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_is_told_whoever_has_left() {
        for leaver in 0..4 {
            let (listeners, waiting): (Vec<_>, Vec<_>) = (0..4).map(|_| oneshot::channel()).unzip();
            let mut waiting: Vec<_> = waiting.into_iter().map(Some).collect();
            waiting[leaver] = None;
            let news = listeners.into_iter().map(|listener| (listener, Ok(Settled::Before)));
            tell_all(news.collect());
            // In either order: who is told to tell the others may be the last to look.
            for told in waiting.into_iter().rev().flatten() {
                assert!(matches!(told.await.unwrap().own, Ok(Settled::Before)));
            }
        }
    }

    #[tokio::test]
    async fn who_leaves_with_the_news_in_hand_passes_them_on() {
        let ((first, told_first), (second, told_second)) = (oneshot::channel(), oneshot::channel());
        tell_all(vec![(first, Ok(Settled::Before)), (second, Ok(Settled::Before))]);
        drop(told_second);
        assert!(matches!(told_first.await.unwrap().own, Ok(Settled::Before)));
    }
}
