//! Building scripts in code, for tests.

use serde_json::Value;

use super::{ErrorBody, ErrorEvent, Script, Silence, Step, Then, ToolCall, Usage};

impl Script {
    /// A script of `steps`; the last one repeats.
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), then: Then::Repeat }
    }

    /// Gives the default answer once the steps are used up, instead of repeating the last one.
    #[must_use]
    pub fn then_default(mut self) -> Self {
        self.then = Then::Default;
        self
    }
}

impl From<Step> for Script {
    fn from(step: Step) -> Self {
        Self::new([step])
    }
}

impl Step {
    /// The default answer, to be changed by the methods below.
    pub fn new() -> Self {
        Self::default()
    }

    /// An error answer: `status`, and a body with this error type and message.
    pub fn failing(status: u16, kind: &str, message: &str) -> Self {
        let error = ErrorBody { kind: kind.to_owned(), message: message.to_owned() };
        Self { status: Some(status), error: Some(error), ..Self::default() }
    }

    /// Resets the connection instead of answering.
    pub fn refusing() -> Self {
        Self { refuse: true, ..Self::default() }
    }

    /// Never answers.
    pub fn holding() -> Self {
        Self { hold_head: true, ..Self::default() }
    }

    /// Sets the status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds or replaces a response header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets the exact body.
    #[must_use]
    pub fn raw_body(mut self, body: &str) -> Self {
        self.raw_body = Some(body.to_owned());
        self
    }

    /// Waits this many milliseconds before the head.
    #[must_use]
    pub fn delay_head_ms(mut self, ms: u64) -> Self {
        self.delay_head_ms = ms;
        self
    }

    /// Sets the text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// Answers with a digest of the request as text.
    #[must_use]
    pub fn echo(mut self) -> Self {
        self.echo = true;
        self
    }

    /// Sets how many text deltas a stream has.
    #[must_use]
    pub fn deltas(mut self, deltas: usize) -> Self {
        self.deltas = Some(deltas);
        self
    }

    /// Adds a thinking block.
    #[must_use]
    pub fn thinking(mut self, text: &str) -> Self {
        self.thinking = Some(text.to_owned());
        self
    }

    /// Adds a tool call.
    #[must_use]
    pub fn tool(mut self, name: &str, input: Value) -> Self {
        self.tool = Some(ToolCall { name: name.to_owned(), input });
        self
    }

    /// Sets the token counts to report.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    /// Sets the model that the answer names.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// Sets the stop reason.
    #[must_use]
    pub fn stop_reason(mut self, reason: &str) -> Self {
        self.stop_reason = Some(reason.to_owned());
        self
    }

    /// Waits this many milliseconds between frames.
    #[must_use]
    pub fn delta_ms(mut self, ms: u64) -> Self {
        self.delta_ms = ms;
        self
    }

    /// Pauses for `ms` milliseconds after `frame`.
    #[must_use]
    pub fn silence_after_frame(mut self, frame: usize, ms: u64) -> Self {
        self.silence_after_frame = Some(Silence { frame, ms });
        self
    }

    /// Closes the connection after `bytes` of the body.
    #[must_use]
    pub fn truncate_at_byte(mut self, bytes: usize) -> Self {
        self.truncate_at_byte = Some(bytes);
        self
    }

    /// Closes the connection in place of `frame`.
    #[must_use]
    pub fn truncate_at_frame(mut self, frame: usize) -> Self {
        self.truncate_at_frame = Some(frame);
        self
    }

    /// Ends the stream properly in place of `frame`.
    #[must_use]
    pub fn end_at_frame(mut self, frame: usize) -> Self {
        self.end_at_frame = Some(frame);
        self
    }

    /// Sends an `error` event in place of `frame` and ends the stream.
    #[must_use]
    pub fn error_at_frame(mut self, frame: usize, kind: &str, message: &str) -> Self {
        self.error_at_frame =
            Some(ErrorEvent { frame, kind: kind.to_owned(), message: message.to_owned() });
        self
    }

    /// Writes the body in pieces of `bytes`.
    #[must_use]
    pub fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = Some(bytes);
        self
    }

    /// Ends the lines of a stream with CR LF.
    #[must_use]
    pub fn crlf(mut self) -> Self {
        self.crlf = true;
        self
    }
}
