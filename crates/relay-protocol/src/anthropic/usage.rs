//! The usage object of an answer, in whichever event it comes.

use relay_domain::{TokenCount, TokenUsage};

use crate::ScanError;
use crate::json::{Cursor, Value};

/// How the provider says it served a message, where that bears on the price. Foreign words, kept
/// as they came.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Served {
    /// `standard`, `priority`, `batch`.
    pub service_tier: Option<String>,
    /// `standard`, `fast`.
    pub speed: Option<String>,
    /// Where the inference ran.
    pub inference_geo: Option<String>,
    /// How many web searches the provider ran itself.
    pub web_search_requests: Option<u64>,
}

/// The fields of one or several usage objects. A newer value replaces an older one; nothing is
/// ever added up, because the provider reports running totals.
#[derive(Debug, Default)]
pub(crate) struct UsageFields {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    served: Served,
}

impl UsageFields {
    /// Reads the value in front of the cursor. A field that is null, of another type or unknown
    /// is passed over; `None` if the value is no object.
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Option<Self>, ScanError> {
        if cursor.peek()? != b'{' {
            cursor.skip()?;
            return Ok(None);
        }
        let mut fields = Self::default();
        cursor.object(|cursor, key| {
            match key {
                b"input_tokens" => fields.input = cursor.value()?.as_u64(),
                b"output_tokens" => fields.output = cursor.value()?.as_u64(),
                b"cache_read_input_tokens" => fields.cache_read = cursor.value()?.as_u64(),
                b"cache_creation_input_tokens" => fields.cache_write = cursor.value()?.as_u64(),
                b"cache_creation" => fields.read_cache_creation(cursor)?,
                b"server_tool_use" => fields.read_server_tool_use(cursor)?,
                b"service_tier" => fields.served.service_tier = short_text(&cursor.value()?),
                b"speed" => fields.served.speed = short_text(&cursor.value()?),
                b"inference_geo" => fields.served.inference_geo = short_text(&cursor.value()?),
                _ => cursor.skip()?,
            }
            Ok(())
        })?;
        Ok(Some(fields))
    }

    /// Whether they say how much output there was.
    pub(crate) fn tells_output(&self) -> bool {
        self.output.is_some()
    }

    /// Takes over whatever `newer` knows.
    pub(crate) fn update(&mut self, newer: Self) {
        fn replace<T>(old: &mut Option<T>, new: Option<T>) {
            if new.is_some() {
                *old = new;
            }
        }
        replace(&mut self.input, newer.input);
        replace(&mut self.output, newer.output);
        replace(&mut self.cache_read, newer.cache_read);
        replace(&mut self.cache_write, newer.cache_write);
        replace(&mut self.cache_write_5m, newer.cache_write_5m);
        replace(&mut self.cache_write_1h, newer.cache_write_1h);
        replace(&mut self.served.service_tier, newer.served.service_tier);
        replace(&mut self.served.speed, newer.served.speed);
        replace(&mut self.served.inference_geo, newer.served.inference_geo);
        replace(&mut self.served.web_search_requests, newer.served.web_search_requests);
    }

    /// The tokens by kind. Cache writes whose lifetime the provider did not break down are
    /// five-minute ones, its default.
    pub(crate) fn tokens(&self) -> TokenUsage {
        let hour = self.cache_write_1h.unwrap_or(0);
        let five_minutes = self.cache_write_5m.unwrap_or(0);
        let undivided = self.cache_write.unwrap_or(0).saturating_sub(hour);
        TokenUsage {
            input: TokenCount::new(self.input.unwrap_or(0)),
            output: TokenCount::new(self.output.unwrap_or(0)),
            cache_read: TokenCount::new(self.cache_read.unwrap_or(0)),
            cache_write_5m: TokenCount::new(five_minutes.max(undivided)),
            cache_write_1h: TokenCount::new(hour),
        }
    }

    pub(crate) fn served(&self) -> &Served {
        &self.served
    }

    pub(crate) fn into_served(self) -> Served {
        self.served
    }

    fn read_cache_creation(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ScanError> {
        cursor.object_or_skip(|cursor, key| {
            let count = cursor.value()?.as_u64();
            match key {
                b"ephemeral_5m_input_tokens" => self.cache_write_5m = count,
                b"ephemeral_1h_input_tokens" => self.cache_write_1h = count,
                _ => {}
            }
            Ok(())
        })
    }

    fn read_server_tool_use(&mut self, cursor: &mut Cursor<'_>) -> Result<(), ScanError> {
        cursor.object_or_skip(|cursor, key| {
            let count = cursor.value()?.as_u64();
            if key == b"web_search_requests" {
                self.served.web_search_requests = count;
            }
            Ok(())
        })
    }
}

/// The text of a value that is meant to be a word; anything long is nothing we could price.
pub(crate) fn short_text(value: &Value<'_>) -> Option<String> {
    const MAX_BYTES: usize = 256;
    value.as_text().filter(|text| text.len() <= MAX_BYTES).map(Into::into)
}
