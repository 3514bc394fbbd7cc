//! Where the next page of a list begins, as clients hand it back: a text that says nothing to them.

use std::fmt::Write as _;

use relay_store::Cursor;

use super::error::ApiError;

/// The longest that a client may hand back, in bytes.
const LONGEST: usize = 4_096;

/// Writes a cursor: its JSON in hexadecimal digits.
pub(super) fn print(cursor: &Cursor) -> Result<String, ApiError> {
    let json = serde_json::to_vec(cursor)?;
    Ok(json.iter().fold(String::with_capacity(2 * json.len()), |mut hex, byte| {
        // Writing to a text cannot fail.
        let _infallible = write!(hex, "{byte:02x}");
        hex
    }))
}

/// Reads one that a client hands back.
pub(super) fn read(text: &str) -> Result<Cursor, ApiError> {
    let why = "must be the nextCursor of an earlier answer";
    let refused = || ApiError::Invalid { field: "cursor", why };
    if LONGEST < text.len() || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(refused());
    }
    let bytes = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16));
    let json: Vec<u8> = bytes.collect::<Result<_, _>>().map_err(|_| refused())?;
    serde_json::from_slice(&json).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use relay_store::SortValue;

    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_is_one() {
        for value in [SortValue::Number(7), SortValue::Text("名 ü".to_owned())] {
            let cursor = Cursor { value, id: "some-id".to_owned() };
            assert_eq!(read(&print(&cursor).unwrap()).unwrap(), cursor);
        }
        for text in ["", "7", "zz", "7b7d", "ü", "+1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
