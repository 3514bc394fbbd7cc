//! A field of a partial change: left out, `null`, or a value.

use serde::{Deserialize, Deserializer};

/// What a change says of a field that may be empty.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Patch<T> {
    /// Nothing: it stays as it is.
    #[default]
    Keep,
    /// `null`: it is empty from now on.
    Clear,
    /// This.
    Set(T),
}

/// Does to a field that cannot be empty what a change says of it, if it says anything.
pub(super) fn set<T: Clone>(target: &mut T, said: Option<&T>) {
    if let Some(said) = said {
        target.clone_from(said);
    }
}

impl<T> Patch<T> {
    /// Does to `target` what it says; `read` turns its value into the target's.
    pub(super) fn apply<U>(&self, target: &mut Option<U>, read: impl FnOnce(&T) -> Option<U>) {
        match self {
            Self::Keep => {}
            Self::Clear => *target = None,
            Self::Set(value) => *target = read(value),
        }
    }

    /// The value, if there is one.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Keep | Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// The same with another value.
    pub(super) fn map<U>(self, read: impl FnOnce(T) -> U) -> Patch<U> {
        match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(read(value)),
        }
    }

    /// What is said of a field whose default stands for empty.
    pub(super) fn told(self) -> Option<T>
    where
        T: Default,
    {
        match self {
            Self::Keep => None,
            Self::Clear => Some(T::default()),
            Self::Set(value) => Some(value),
        }
    }

    /// The same, with another value, if there is one.
    pub(super) fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Self::Keep => Patch::Keep,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(read(value)?),
        })
    }

    /// The same where empty is the default.
    pub(super) fn apply_or_default<U: Default>(&self, target: &mut U, read: impl FnOnce(&T) -> U) {
        match self {
            Self::Keep => {}
            Self::Clear => *target = U::default(),
            Self::Set(value) => *target = read(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Clear, Self::Set))
    }
}

/// Reads a field that may be left out but not be `null`.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Change {
        end: Patch<u8>,
        #[serde(deserialize_with = "given")]
        name: Option<String>,
    }

    #[test]
    fn nothing_null_and_a_value_are_three_things() {
        let cases = [
            ("{}", Patch::Keep, Some(1)),
            (r#"{"end":null}"#, Patch::Clear, None),
            (r#"{"end":7}"#, Patch::Set(7), Some(7)),
        ];
        for (json, expected, becomes) in cases {
            let change: Change = serde_json::from_str(json).unwrap();
            assert_eq!(change.end, expected, "{json}");
            let mut target = Some(1);
            change.end.apply(&mut target, |value| Some(*value));
            assert_eq!(target, becomes, "{json}");
        }
        assert!(serde_json::from_str::<Change>(r#"{"name":null}"#).is_err());
        let named: Change = serde_json::from_str(r#"{"name":"n"}"#).unwrap();
        assert_eq!(named.name.as_deref(), Some("n"));
    }
}
