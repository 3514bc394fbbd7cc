//! The usage tap: watches a copy of a Messages stream and notes what it says about itself.
//!
//! It decides nothing and changes nothing. Content goes by unparsed; the JSON of three kinds of
//! event is read, the start, the delta at the end, and an error.

use memchr::memmem;
use relay_domain::{ModelName, TokenCount, TokenUsage, UsageSource};

use super::length::ContentLength;
use super::provider_error::{ProviderError, read_error};
use super::response::Envelope;
use super::usage::{Served, UsageFields, short_text};
use crate::ScanError;
use crate::json::Cursor;
use crate::sse::{Frame, FrameScanner};

/// What surrounds the content in an event of content: names, quotes and braces.
const DELTA_ENVELOPE_BYTES: usize = 113;
/// A signature of thinking is longer than this; only frames that are get searched for one.
const SIGNATURE_BYTES: usize = 256;

/// Watches one Messages stream. Feed it every chunk, in order; any split gives the same answers.
#[derive(Debug, Default)]
pub struct StreamTap {
    frames: FrameScanner,
    seen: Seen,
}

impl StreamTap {
    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, chunk: &[u8]) {
        let Self { frames, seen } = self;
        frames.feed(chunk, |frame| seen.take(&frame));
    }

    /// What the provider has counted so far: the last value of every field.
    #[must_use]
    pub fn usage(&self) -> TokenUsage {
        self.seen.usage.tokens()
    }

    /// How sure [`StreamTap::usage`] is. It is final once the provider has said what the output took, and why
    /// the model stopped or that the message has ended. The output that the start tells is a placeholder, and
    /// none at all is not what content took.
    #[must_use]
    pub fn usage_source(&self) -> UsageSource {
        match self.seen.counted {
            Counted::Nothing => UsageSource::None,
            Counted::Output if self.is_over() && self.tells_output() => UsageSource::Final,
            Counted::Input | Counted::Output => UsageSource::Partial,
        }
    }

    fn is_over(&self) -> bool {
        self.seen.ended || self.seen.stop_reason.is_some()
    }

    fn tells_output(&self) -> bool {
        self.usage().output != TokenCount::ZERO || self.output_by_length() == TokenCount::ZERO
    }

    /// How the provider says it served the message.
    #[must_use]
    pub fn served(&self) -> &Served {
        self.seen.usage.served()
    }

    /// The model that the provider says it used.
    #[must_use]
    pub fn served_model(&self) -> Option<&ModelName> {
        self.seen.served_model.as_ref()
    }

    /// The provider's id of the message.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        self.seen.message_id.as_deref()
    }

    /// Why the model stopped, in the provider's word.
    #[must_use]
    pub fn stop_reason(&self) -> Option<&str> {
        self.seen.stop_reason.as_deref()
    }

    /// Whether content has begun: the point after which no other account may take over. The start
    /// of the message and pings are not content.
    #[must_use]
    pub fn content_started(&self) -> bool {
        self.seen.content
    }

    /// How much output the content so far comes to, by its length: at least a token for each event, and one
    /// for every four bytes. What the provider has not counted yet can only be guessed so.
    #[must_use]
    pub fn output_by_length(&self) -> TokenCount {
        self.seen.length.tokens()
    }

    /// Whether the terminal event has come. A stream that ends without it is broken.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.seen.ended
    }

    /// The first error event, if one has come.
    #[must_use]
    pub fn error(&self) -> Option<&ProviderError> {
        self.seen.error.as_ref()
    }

    /// Whether the last byte ended a whole frame, so that a ping may be put in here.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.frames.at_boundary()
    }

    /// How many of the last bytes belong to a frame that is not whole yet.
    #[must_use]
    pub fn open_bytes(&self) -> usize {
        self.frames.open_bytes()
    }
}

#[derive(Debug, Default)]
struct Seen {
    usage: UsageFields,
    counted: Counted,
    message_id: Option<String>,
    served_model: Option<ModelName>,
    stop_reason: Option<String>,
    content: bool,
    /// What the events carried of it.
    length: ContentLength,
    ended: bool,
    error: Option<ProviderError>,
}

/// What the provider has counted.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum Counted {
    #[default]
    Nothing,
    /// Input is known, output provisional.
    Input,
    /// Totals so far.
    Output,
}

impl Seen {
    fn take(&mut self, frame: &Frame<'_>) {
        match kind_of(frame) {
            EventKind::Content => self.content = true,
            EventKind::ContentDelta => {
                self.content = true;
                self.weigh(frame.bytes());
            }
            EventKind::End => self.ended = true,
            EventKind::Start => self.start(&frame.data().unwrap_or_default()),
            EventKind::Delta => self.delta(&frame.data().unwrap_or_default()),
            EventKind::Error => {
                let data = frame.data().unwrap_or_default();
                let error = read_error(&data);
                self.error
                    .get_or_insert(error.unwrap_or_else(|| ProviderError::of_plain_text(&data)));
            }
            EventKind::Other => {}
        }
    }

    /// Notes how much content an event carries.
    fn weigh(&mut self, frame: &[u8]) {
        if SIGNATURE_BYTES < frame.len() && memmem::find(frame, b"signature_delta").is_some() {
            // Not output: nobody is charged for it.
            return;
        }
        self.length.add(frame.len().saturating_sub(DELTA_ENVELOPE_BYTES));
    }

    fn start(&mut self, data: &[u8]) {
        let mut envelope = Envelope::default();
        let read = read_whole(data, |cursor, key| {
            if key == b"message" {
                envelope = Envelope::read(cursor)?;
                return Ok(());
            }
            cursor.skip()
        });
        if read.is_err() {
            return;
        }
        self.message_id = envelope.message_id;
        self.served_model = envelope.served_model;
        self.count(envelope.usage, Counted::Input);
    }

    fn delta(&mut self, data: &[u8]) {
        let mut usage = None;
        let mut stop_reason = None;
        let read = read_whole(data, |cursor, key| match key {
            b"usage" => {
                usage = UsageFields::read(cursor)?;
                Ok(())
            }
            b"delta" => cursor.object_or_skip(|cursor, key| {
                let value = cursor.value()?;
                if key == b"stop_reason" {
                    stop_reason = short_text(&value);
                }
                Ok(())
            }),
            _ => cursor.skip(),
        });
        if read.is_err() {
            return;
        }
        self.stop_reason = stop_reason.or(self.stop_reason.take());
        let tells_output = usage.as_ref().is_some_and(UsageFields::tells_output);
        self.count(usage, if tells_output { Counted::Output } else { Counted::Input });
    }

    fn count(&mut self, usage: Option<UsageFields>, counted: Counted) {
        if let Some(usage) = usage {
            self.usage.update(usage);
            self.counted = self.counted.max(counted);
        }
    }
}

enum EventKind {
    Start,
    Content,
    ContentDelta,
    Delta,
    End,
    Error,
    Other,
}

/// What a frame is about: its `event` field decides, or the `type` of its data if it has none.
fn kind_of(frame: &Frame<'_>) -> EventKind {
    match frame.event() {
        None | Some(b"" | b"message") => {
            let Some(data) = frame.data() else { return EventKind::Other };
            let mut kind = EventKind::Other;
            let read = read_whole(&data, |cursor, key| {
                let value = cursor.value()?;
                if key == b"type" {
                    kind = value
                        .as_text()
                        .map_or(EventKind::Other, |name| kind_named(name.as_bytes()));
                }
                Ok(())
            });
            if read.is_ok() { kind } else { EventKind::Other }
        }
        Some(name) => kind_named(name),
    }
}

fn kind_named(name: &[u8]) -> EventKind {
    match name {
        b"content_block_delta" => EventKind::ContentDelta,
        b"content_block_start" | b"content_block_stop" => EventKind::Content,
        b"message_start" => EventKind::Start,
        b"message_delta" => EventKind::Delta,
        b"message_stop" => EventKind::End,
        b"error" => EventKind::Error,
        _ => EventKind::Other,
    }
}

fn read_whole(
    data: &[u8],
    member: impl FnMut(&mut Cursor<'_>, &[u8]) -> Result<(), ScanError>,
) -> Result<(), ScanError> {
    let mut cursor = Cursor::new(data);
    cursor.object(member)?;
    cursor.finish()
}

#[cfg(test)]
mod tests;
