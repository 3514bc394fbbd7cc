//! The names of keys, groups, accounts and models, as statistics keep them.

use super::codec::Malformed;
use super::leb128::{put, put_section, take_bytes, take_section, take_size};

/// A name. An identifier that is a UUID takes sixteen bytes, and is quick to compare.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Name {
    /// A UUID in its canonical form: 36 characters, lower case.
    Uuid(u128),
    /// Anything else; also nothing, where there is no such thing.
    Text(Box<str>),
}

impl Name {
    /// The name of what there is not.
    pub(super) fn nothing() -> Self {
        Self::Text("".into())
    }

    /// The name that `text` is.
    pub(super) fn of(text: &str) -> Self {
        uuid(text).map_or_else(|| Self::Text(text.into()), Self::Uuid)
    }

    /// The text that it is.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Uuid(number) => uuid_text(*number),
            Self::Text(text) => text.to_string(),
        }
    }
}

/// Writes names, which must be sorted: what is written refers to them by their places.
pub(super) fn write_names(out: &mut Vec<u8>, names: &[&Name]) {
    let mut section = Vec::new();
    let uuids = names.iter().take_while(|name| matches!(name, Name::Uuid(_))).count();
    put(&mut section, uuids as u64);
    put(&mut section, (names.len() - uuids) as u64);
    for name in names {
        match name {
            Name::Uuid(number) => section.extend_from_slice(&number.to_be_bytes()),
            Name::Text(text) => put_section(&mut section, text.as_bytes()),
        }
    }
    put_section(out, &section);
}

/// Names as they were written. A UUID is only read when it is asked for.
pub(super) struct Names<'a> {
    uuids: &'a [[u8; 16]],
    texts: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// Finds the names in what [`write_names`] wrote.
    pub(super) fn read(rest: &mut &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = take_section(rest)?;
        let (uuids, texts) = (take_size(&mut rest)?, take_size(&mut rest)?);
        let uuids = take_bytes(&mut rest, uuids.checked_mul(16).ok_or(Malformed)?)?;
        let mut read = Vec::with_capacity(texts.min(rest.len()));
        for _ in 0..texts {
            let text = take_section(&mut rest)?;
            read.push(std::str::from_utf8(text).map_err(|_| Malformed)?);
        }
        let (uuids, _) = uuids.as_chunks();
        rest.is_empty().then_some(Self { uuids, texts: read }).ok_or(Malformed)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.uuids.len() + self.texts.len()
    }

    /// The name at a place.
    pub(super) fn name(&self, place: usize) -> Option<Name> {
        let uuid = self.uuids.get(place).map(|bytes| Name::Uuid(u128::from_be_bytes(*bytes)));
        uuid.or_else(|| {
            let text = self.texts.get(place - self.uuids.len())?;
            Some(Name::Text((*text).into()))
        })
    }

    /// All of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Name> + '_ {
        (0..self.len()).filter_map(|place| self.name(place))
    }

    /// The place of a name.
    pub(super) fn find(&self, name: &Name) -> Option<usize> {
        match name {
            Name::Uuid(number) => self.uuids.binary_search(&number.to_be_bytes()).ok(),
            Name::Text(text) => {
                let place = self.texts.binary_search(&&**text).ok()?;
                Some(self.uuids.len() + place)
            }
        }
    }
}

/// The number of a UUID in its canonical form.
fn uuid(text: &str) -> Option<u128> {
    let text = text.as_bytes();
    if text.len() != 36 {
        return None;
    }
    let (mut number, mut at) = (0, 0);
    while at < 36 {
        if matches!(at, 8 | 13 | 18 | 23) {
            (text[at] == b'-').then_some(())?;
            at += 1;
        }
        let digit = match text[at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(digit);
        at += 1;
    }
    Some(number)
}

fn uuid_text(number: u128) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let mut text = String::with_capacity(36);
    for (at, byte) in number.to_be_bytes().into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 0xf)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    #[test]
    fn uuids_are_packed_and_all_else_is_kept_as_text() {
        assert!(matches!(Name::of(UUID), Name::Uuid(_)));
        let upper = UUID.to_uppercase();
        let shifted = "0f8fad5bd-9cb-469f-a165-70867728950e";
        for text in [&upper, shifted, "", "1a2b3c4d5e6f7a8b", "claude-sonnet-4-5", "模型"] {
            assert_eq!(Name::of(text), Name::Text(text.into()));
        }
        assert_eq!(Name::of(UUID).text(), UUID);
    }

    #[test]
    fn names_are_found_where_they_were_written() {
        let texts = [UUID, "00000000-0000-0000-0000-000000000001", "", "b", "a", "模型"];
        let mut names = texts.map(Name::of);
        names.sort_unstable();
        let mut written = Vec::new();
        write_names(&mut written, &names.iter().collect::<Vec<_>>());
        let read = Names::read(&mut &written[..]).unwrap();
        assert_eq!(read.iter().collect::<Vec<_>>(), names);
        for (place, name) in names.iter().enumerate() {
            assert_eq!(read.find(name), Some(place), "{name:?}");
            assert_eq!(read.name(place).as_ref(), Some(name));
        }
        for absent in ["c", "00000000-0000-0000-0000-000000000002"] {
            assert_eq!(read.find(&Name::of(absent)), None, "{absent}");
        }
        assert_eq!(read.name(names.len()), None);
    }

    proptest! {
        #[test]
        fn any_text_is_what_its_name_says(text: String, number: u128) {
            prop_assert_eq!(Name::of(&text).text(), text);
            prop_assert_eq!(Name::of(&Name::Uuid(number).text()), Name::Uuid(number));
        }
    }
}
