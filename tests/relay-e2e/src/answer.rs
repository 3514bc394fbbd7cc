//! An answer, with what a usual client hides: how its body ended.

use serde_json::Value;

/// How a body ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// As its framing says: by its length or its last chunk.
    Clean,
    /// The connection closed before that.
    Aborted,
}

/// An answer, whole or as much of it as there was.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How the body ended.
    pub end: End,
}

/// One event of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// The name in its `event:` line; empty if there is none.
    pub name: String,
    /// The text of its `data:` line.
    pub data: String,
}

impl Event {
    /// The data as JSON.
    ///
    /// # Panics
    ///
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.data))
    }
}

impl Answer {
    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("not JSON ({error}), status {}: {}", self.status, self.text())
        })
    }

    /// The events of the stream; comments are none.
    ///
    /// # Panics
    ///
    /// If a frame is broken: a last frame without its empty line, or a line that is no field.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let text = String::from_utf8(self.body.clone())
            .unwrap_or_else(|error| panic!("the stream is not UTF-8: {error}"))
            .replace("\r\n", "\n");
        assert!(text.is_empty() || text.ends_with("\n\n"), "the last frame is broken: {text:?}");
        let frames = text.split_terminator("\n\n").map(|frame| {
            let mut event = Event { name: String::new(), data: String::new() };
            for line in frame.lines().filter(|line| !line.starts_with(':')) {
                if let Some(name) = line.strip_prefix("event: ") {
                    name.clone_into(&mut event.name);
                } else if let Some(data) = line.strip_prefix("data: ") {
                    event.data.push_str(data);
                } else {
                    panic!("not a field of a frame: {line:?}");
                }
            }
            event
        });
        frames.filter(|event| !event.name.is_empty() || !event.data.is_empty()).collect()
    }

    /// How many events have this name.
    #[must_use]
    pub fn count_of(&self, name: &str) -> usize {
        self.events().iter().filter(|event| event.name == name).count()
    }

    /// What the answer says: the text deltas of a stream, one after the other.
    #[must_use]
    pub fn streamed_text(&self) -> String {
        let texts = self.events().into_iter().filter(|event| event.name == "content_block_delta");
        texts
            .filter_map(|event| event.json()["delta"]["text"].as_str().map(str::to_owned))
            .collect()
    }
}
