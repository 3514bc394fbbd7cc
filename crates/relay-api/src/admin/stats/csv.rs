//! Answers as CSV, for whoever reads them with a spreadsheet.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How an answer is written.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FormatName {
    /// JSON.
    Json,
    /// CSV (RFC 4180), with the names of the columns in the first line.
    Csv,
}

impl FormatName {
    /// What the query asks for; if it does not say, what the first of the accepted types says.
    pub(crate) fn of_request(asked: Option<Self>, headers: &HeaderMap) -> Self {
        let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
        let first = accepted.split([',', ';']).next().unwrap_or("").trim();
        let by_header = if first.eq_ignore_ascii_case("text/csv") { Self::Csv } else { Self::Json };
        asked.unwrap_or(by_header)
    }

    /// Writes `answer` like this; `table` makes a table of it.
    pub(crate) fn write<T: Serialize>(self, answer: T, table: impl FnOnce(T) -> Csv) -> Response {
        match self {
            Self::Json => Json(answer).into_response(),
            Self::Csv => table(answer).into_response(),
        }
    }
}

/// A table.
pub(crate) struct Csv {
    text: String,
}

impl Csv {
    /// A table with these columns.
    pub(crate) fn new(columns: &[&str]) -> Self {
        Self { text: columns.join(",") + "\r\n" }
    }

    /// Adds a line.
    pub(crate) fn line<'a>(&mut self, fields: impl IntoIterator<Item = Field<'a>>) {
        for (number, field) in fields.into_iter().enumerate() {
            if number > 0 {
                self.text.push(',');
            }
            match field {
                Field::Number(number) => self.text.push_str(&number),
                Field::Text(text) => self.push_text(text),
            }
        }
        self.text.push_str("\r\n");
    }

    fn push_text(&mut self, text: &str) {
        // A spreadsheet would take such a text for a formula, and model names are foreign.
        let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let needs_quotes = is_formula || text.contains([',', '"', '\r', '\n']);
        if !needs_quotes {
            self.text.push_str(text);
            return;
        }
        self.text.push('"');
        if is_formula {
            self.text.push('\'');
        }
        self.text.push_str(&text.replace('"', "\"\""));
        self.text.push('"');
    }
}

/// A field of a line.
pub(crate) enum Field<'a> {
    /// A text, quoted where it needs to be.
    Text(&'a str),
    /// A number, as it is written.
    Number(String),
}

impl IntoResponse for Csv {
    fn into_response(self) -> Response {
        let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
        ([(CONTENT_TYPE, kind)], self.text).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_and_are_no_formulas() {
        let mut csv = Csv::new(&["name", "count"]);
        for text in ["plain", "a,b", "say \"x\"", "=1+1", "-5", "two\nlines"] {
            csv.line([Field::Text(text), Field::Number("-5".to_owned())]);
        }
        let lines = "name,count\r\nplain,-5\r\n\"a,b\",-5\r\n\"say \"\"x\"\"\",-5\r\n\
             \"'=1+1\",-5\r\n\"'-5\",-5\r\n\"two\nlines\",-5\r\n";
        assert_eq!(csv.text, lines);
    }

    #[test]
    fn the_query_beats_the_header() {
        let headers = |accept: &'static str| {
            HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))])
        };
        let cases = [
            (None, "", FormatName::Json),
            (None, "text/csv", FormatName::Csv),
            (None, "text/csv;q=1, */*", FormatName::Csv),
            (None, "application/json, text/csv", FormatName::Json),
            (Some(FormatName::Json), "text/csv", FormatName::Json),
            (Some(FormatName::Csv), "*/*", FormatName::Csv),
        ];
        for (asked, accept, expected) in cases {
            assert_eq!(FormatName::of_request(asked, &headers(accept)), expected, "{accept}");
        }
    }
}
