//! The request scan: one pass over a body for the few facts that Relay acts on.

use std::ops::Range;

use relay_domain::{ModelName, TokenCount};
use serde::Deserialize;

use crate::ScanError;
use crate::json::{Cursor, Value, push_quoted, unescape};

/// What Relay needs to know of a request's body. All ranges are byte ranges of that body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestScan {
    /// The model that the client asked for, escapes resolved.
    pub model: ModelName,
    /// Where its value stands, quotes included: what [`splice_model`] replaces.
    pub model_value: Range<usize>,
    /// Whether the client asked for a stream; absent and null mean that it did not.
    pub stream: bool,
    /// The most output that the client asked for. `None`: it did not say, or not as a
    /// non-negative integer, which is for the provider to refuse.
    pub max_tokens: Option<TokenCount>,
    /// The session named by `metadata.user_id`, in the JSON form or the older underscore form.
    pub session_id: Option<String>,
    /// Where the value of `system` stands, unless it is null.
    pub system: Option<Range<usize>>,
    /// Where the first element of `messages` whose role is `user` stands.
    pub first_user_message: Option<Range<usize>>,
    /// Whether `messages` is an array that holds something.
    pub has_messages: bool,
}

/// Reads what Relay acts on from a Messages request, in one pass and without building a tree.
///
/// Any order of keys, unknown fields and any depth are fine. Keys may be written with escapes. Of
/// a key that occurs twice the last one counts, as it does for most parsers, so that Relay and
/// provider agree on what was asked. Of skipped strings only the end is looked for: bad escapes,
/// control characters and broken UTF-8 inside them are for the provider to refuse.
///
/// # Errors
///
/// [`ScanError`] if the structure is not one complete JSON object, if `model` is missing or not a
/// model's name, or if `stream` is not a boolean.
pub fn scan_request(body: &[u8]) -> Result<RequestScan, ScanError> {
    let mut found = Found::default();
    let mut cursor = Cursor::new(body);
    if cursor.peek()? != b'{' {
        return Err(not_an_object(cursor));
    }
    cursor.object(|cursor, key| {
        match key {
            b"model" => found.model = Some(cursor.value()?),
            b"stream" => found.stream = Some(cursor.value()?),
            b"max_tokens" => found.max_tokens = cursor.value()?.as_u64().map(TokenCount::new),
            b"metadata" => found.user_id = user_id(cursor)?,
            b"system" => found.system = Some(cursor.value()?),
            b"messages" => found.messages = Messages::read(cursor)?,
            _ => cursor.skip()?,
        }
        Ok(())
    })?;
    cursor.finish()?;
    found.check()
}

/// `body` with the model's value, and nothing else, replaced by `to`.
///
/// `scan` must be the scan of this very body. To avoid the copy, send the bytes before
/// [`RequestScan::model_value`], then [`model_literal`], then the bytes behind it.
#[must_use]
pub fn splice_model(body: &[u8], scan: &RequestScan, to: &ModelName) -> Vec<u8> {
    let literal = model_literal(to);
    let before = body.get(..scan.model_value.start).unwrap_or_default();
    let behind = body.get(scan.model_value.end..).unwrap_or_default();
    [before, literal.as_slice(), behind].concat()
}

/// `to` as a JSON string, quotes included.
#[must_use]
pub fn model_literal(to: &ModelName) -> Vec<u8> {
    let mut literal = Vec::with_capacity(to.as_str().len() + 2);
    push_quoted(&mut literal, to.as_str());
    literal
}

/// The values as they stand, to be judged after the pass: an earlier duplicate may be anything.
#[derive(Default)]
struct Found<'a> {
    model: Option<Value<'a>>,
    stream: Option<Value<'a>>,
    max_tokens: Option<TokenCount>,
    user_id: Option<Value<'a>>,
    system: Option<Value<'a>>,
    messages: Messages,
}

impl Found<'_> {
    fn check(self) -> Result<RequestScan, ScanError> {
        let model_value = self.model.ok_or(ScanError::MissingModel)?;
        Ok(RequestScan {
            model: model(&model_value)?,
            model_value: model_value.span,
            stream: stream(self.stream.as_ref())?,
            max_tokens: self.max_tokens,
            session_id: self.user_id.and_then(|value| session_of(&value.as_text()?)),
            system: self.system.filter(|value| !value.is_null()).map(|value| value.span),
            first_user_message: self.messages.first_user,
            has_messages: self.messages.any,
        })
    }
}

fn model(value: &Value<'_>) -> Result<ModelName, ScanError> {
    if !value.is_string() {
        return Err(ScanError::ModelNotAString);
    }
    let text = unescape(value.bytes).ok_or(ScanError::NotJson {
        offset: value.span.start,
        problem: "the model's name has a bad escape or is not UTF-8",
    })?;
    ModelName::try_from(text.as_ref()).map_err(|source| ScanError::InvalidModel { source })
}

fn stream(value: Option<&Value<'_>>) -> Result<bool, ScanError> {
    match value.map(|value| value.bytes) {
        None | Some(b"null" | b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(_) => Err(ScanError::InvalidField { name: "stream", expected: "true or false" }),
    }
}

fn user_id<'a>(cursor: &mut Cursor<'a>) -> Result<Option<Value<'a>>, ScanError> {
    let mut user_id = None;
    cursor.object_or_skip(|cursor, key| {
        let value = cursor.value()?;
        if key == b"user_id" {
            user_id = Some(value);
        }
        Ok(())
    })?;
    Ok(user_id)
}

/// The session in a `metadata.user_id`: `{"session_id":"…", …}`, or the older
/// `user_<hex>_account_<any>_session_<id>`.
fn session_of(user_id: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct UserId {
        session_id: String,
    }

    let session = if user_id.starts_with('{') {
        serde_json::from_str::<UserId>(user_id).ok()?.session_id
    } else {
        let (_, behind) = user_id.strip_prefix("user_")?.split_once("_account_")?;
        behind.rsplit_once("_session_")?.1.to_owned()
    };
    Some(session).filter(|id| !id.trim().is_empty())
}

#[derive(Default)]
struct Messages {
    any: bool,
    first_user: Option<Range<usize>>,
}

impl Messages {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, ScanError> {
        let mut messages = Self::default();
        if cursor.peek()? != b'[' {
            cursor.skip()?;
            return Ok(messages);
        }
        cursor.array(|cursor| {
            messages.any = true;
            if messages.first_user.is_some() {
                return cursor.skip();
            }
            cursor.peek()?;
            let start = cursor.offset();
            let mut is_user = false;
            cursor.object_or_skip(|cursor, key| {
                let value = cursor.value()?;
                if key == b"role" {
                    is_user = value.as_text().as_deref() == Some("user");
                }
                Ok(())
            })?;
            if is_user {
                messages.first_user = Some(start..cursor.offset());
            }
            Ok(())
        })?;
        Ok(messages)
    }
}

/// Tells JSON that is not an object from what is no JSON at all.
fn not_an_object(mut cursor: Cursor<'_>) -> ScanError {
    match cursor.skip().and_then(|()| cursor.finish()) {
        Ok(()) => ScanError::NotAnObject,
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests;
