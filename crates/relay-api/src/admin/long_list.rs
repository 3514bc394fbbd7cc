//! An answer with a list that may be very long: written out while it is sent, so that neither its text is
//! in memory as a whole nor anybody else waits until all of it has been made.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body::Frame;
use serde::Serialize;

/// How much is written out before it is sent, to which the item that reaches it adds.
const PIECE: usize = 64 * 1024;

/// The JSON of `shell`, an object whose first field is an empty list, with `items` in that list.
///
/// # Errors
///
/// If `shell` or one of the first items cannot be written as JSON.
pub(super) fn answer<T>(shell: &impl Serialize, items: Vec<T>) -> serde_json::Result<Response>
where
    T: Serialize + Send + Unpin + 'static,
{
    let mut list = LongList::new(shell, items)?;
    list.fill()?;
    // What is short is sent in one piece, and says how long it is.
    let body = if list.end.is_none() { Body::from(list.ready) } else { Body::new(list) };
    let json = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, json)], body).into_response())
}

/// What is still to be sent.
struct LongList<T> {
    /// What is written out.
    ready: Vec<u8>,
    items: vec::IntoIter<T>,
    /// Whether an item stands before the next one.
    is_begun: bool,
    /// What stands behind the items. `None`: it is written out too.
    end: Option<Vec<u8>>,
}

impl<T: Serialize> LongList<T> {
    fn new(shell: &impl Serialize, items: Vec<T>) -> serde_json::Result<Self> {
        let mut ready = serde_json::to_vec(shell)?;
        let behind = ready.iter().position(|byte| *byte == b'[').map_or(ready.len(), |at| at + 1);
        let end = Some(ready.split_off(behind));
        Ok(Self { ready, items: items.into_iter(), is_begun: false, end })
    }

    /// Writes out the next piece, or what there still is.
    fn fill(&mut self) -> serde_json::Result<()> {
        while self.ready.len() < PIECE {
            let Some(item) = self.items.next() else {
                self.ready.extend(self.end.take().unwrap_or_default());
                break;
            };
            if self.is_begun {
                self.ready.push(b',');
            }
            self.is_begun = true;
            serde_json::to_writer(&mut self.ready, &item)?;
        }
        Ok(())
    }
}

impl<T: Serialize + Unpin> http_body::Body for LongList<T> {
    type Data = Bytes;
    type Error = serde_json::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<serde_json::Result<Frame<Bytes>>>> {
        if let Err(error) = self.fill() {
            return Poll::Ready(Some(Err(error)));
        }
        if self.ready.is_empty() {
            return Poll::Ready(None);
        }
        let next = Vec::with_capacity(if self.end.is_some() { PIECE + PIECE / 4 } else { 0 });
        let piece = std::mem::replace(&mut self.ready, next);
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_none() && self.ready.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt as _;

    use super::*;

    #[derive(Serialize)]
    struct Shell {
        items: Vec<String>,
        others: Vec<u8>,
        total: usize,
    }

    async fn text(answer: Response) -> String {
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn it_is_the_json_of_the_whole_however_long() {
        for (count, is_one_piece) in [(0, true), (1, true), (3, true), (5_000, false)] {
            let item = |number| format!("{number} \"[, of many\"");
            let items: Vec<_> = (0..count).map(item).collect();
            let whole = |items| Shell { items, others: vec![1, 2], total: count };
            let answer = answer(&whole(Vec::new()), items.clone()).unwrap();
            assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
            assert_eq!(answer.body().size_hint().exact().is_some(), is_one_piece, "{count}");
            let expected = serde_json::to_string(&whole(items)).unwrap();
            assert!(text(answer).await == expected, "{count} items");
        }
    }

    struct Unprintable;

    impl Serialize for Unprintable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not this one"))
        }
    }

    #[tokio::test]
    async fn what_cannot_be_written_never_looks_complete() {
        assert!(answer(&[0_u8; 0], vec![Unprintable]).is_err());
        let text = || Ok("x".repeat(PIECE));
        let items: Vec<Result<String, Unprintable>> = vec![text(), text(), Err(Unprintable)];
        let items = items.into_iter().map(Item).collect();
        assert!(answer(&[0_u8; 0], items).unwrap().into_body().collect().await.is_err());
    }

    struct Item(Result<String, Unprintable>);

    impl Serialize for Item {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match &self.0 {
                Ok(text) => text.serialize(serializer),
                Err(refused) => refused.serialize(serializer),
            }
        }
    }
}
