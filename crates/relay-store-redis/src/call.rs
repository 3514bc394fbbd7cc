//! A call of a script while it is put together: names and arguments side by side.

use std::borrow::Cow;

use redis::{Cmd, Pipeline};

use crate::scripts::Script;

/// What a script is called with. Its KEYS and its ARGV are each read from the front.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    names: Vec<Cow<'a, str>>,
    arguments: Vec<Argument<'a>>,
}

/// One argument.
#[derive(Debug)]
pub(crate) enum Argument<'a> {
    Text(Cow<'a, str>),
    Whole(u64),
    Signed(i64),
    Bytes(Vec<u8>),
}

impl<'a> Call<'a> {
    /// The next name.
    pub(crate) fn name(&mut self, name: impl Into<Cow<'a, str>>) {
        self.names.push(name.into());
    }

    /// The next argument.
    pub(crate) fn arg(&mut self, argument: impl Into<Argument<'a>>) {
        self.arguments.push(argument.into());
    }

    /// The next argument, empty if there is none.
    pub(crate) fn optional(&mut self, argument: Option<impl Into<Argument<'a>>>) {
        self.arguments.push(argument.map_or(Argument::Text("".into()), Into::into));
    }

    /// The call of `script`.
    pub(crate) fn of(&self, script: &Script) -> Cmd {
        let mut command = script.call(self.names.len());
        for name in &self.names {
            command.arg(name.as_ref());
        }
        for argument in &self.arguments {
            match argument {
                Argument::Text(text) => command.arg(text.as_ref()),
                Argument::Whole(number) => command.arg(*number),
                Argument::Signed(number) => command.arg(*number),
                Argument::Bytes(bytes) => command.arg(&bytes[..]),
            };
        }
        command
    }

    /// The call of `script` and nothing else.
    pub(crate) fn alone(&self, script: &Script) -> Pipeline {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.add_command(self.of(script));
        pipeline
    }
}

impl<'a> From<&'a str> for Argument<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Argument<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<Vec<u8>> for Argument<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<u64> for Argument<'_> {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Argument<'_> {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<i64> for Argument<'_> {
    fn from(number: i64) -> Self {
        Self::Signed(number)
    }
}
