//! What a request's body or query says, and what is wrong with it in the words of JSON: which field, and what
//! it must be. No type's name comes out, and nothing of what was sent.

use std::fmt::{self, Display};

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, Expected, IntoDeserializer as _,
    MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::Number;

/// What is wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.in_full())]
pub(super) struct Fault {
    /// The way to the field, from the inside out.
    path: Vec<String>,
    message: String,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), message: message.into() }
    }

    fn below(mut self, step: String) -> Self {
        self.path.push(step);
        self
    }

    fn in_full(&self) -> String {
        let mut path = String::new();
        for step in self.path.iter().rev() {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        let says_what_it_must_be = self.message.starts_with("must ");
        match (path.is_empty(), says_what_it_must_be) {
            (true, true) => format!("the body {}", self.message),
            (true, false) => self.message.clone(),
            (false, true) => format!("{path} {}", self.message),
            (false, false) => format!("{path}: {}", self.message),
        }
    }
}

impl serde::de::Error for Fault {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {expected}"))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("must be {expected}"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        one_of(expected)
    }
}

fn one_of(names: &[&str]) -> Fault {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let choice = if names.len() == 1 { "" } else { "one of " };
    Fault::new(format!("must be {choice}{}", quoted.join(", ")))
}

/// A value as it was sent.
enum Said {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// Of a query, where numbers and truths are texts too.
    Word(String),
    List(Vec<Said>),
    Object(Vec<(String, Said)>),
}

/// Reads a body that has to be one JSON object.
///
/// # Errors
///
/// What is wrong with it, as a sentence.
pub(super) fn read_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let said: Said =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    if !matches!(said, Said::Object(_)) {
        return Err(Fault::new("must be an object").to_string());
    }
    T::deserialize(said).map_err(|fault| fault.to_string())
}

/// Reads the parameters of a query.
///
/// # Errors
///
/// What is wrong with them, as a sentence.
pub(super) fn read_query<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, String> {
    let words = pairs.into_iter().map(|(name, word)| (name, Said::Word(word)));
    T::deserialize(Said::Object(words.collect())).map_err(|fault| fault.to_string())
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Listener)
    }
}

struct Listener;

impl<'de> Visitor<'de> for Listener {
    type Value = Said;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Said, E> {
        Ok(Said::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Said, E> {
        Ok(Said::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Said, E> {
        Ok(Said::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Said, E> {
        Ok(Said::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Said, E> {
        Number::from_f64(value).map(Said::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Said, E> {
        Ok(Said::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Said, E> {
        Ok(Said::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Said, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Said::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Said, A::Error> {
        // As they came: a field that is given twice is refused by whoever knows the fields.
        let mut object = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            object.push(entry);
        }
        Ok(Said::Object(object))
    }
}

impl Said {
    fn whole(&self, most: u64) -> Result<u64, Fault> {
        let number = match self {
            Self::Number(number) => number.as_u64(),
            Self::Word(word) if word.bytes().all(|byte| byte.is_ascii_digit()) => word.parse().ok(),
            Self::Null
            | Self::Bool(_)
            | Self::Text(_)
            | Self::Word(_)
            | Self::List(_)
            | Self::Object(_) => None,
        };
        number.filter(|number| *number <= most).ok_or_else(|| {
            Fault::new(match most {
                u64::MAX => "must be a whole number of 0 or more".to_owned(),
                most => format!("must be a whole number from 0 to {most}"),
            })
        })
    }

    fn text(self) -> Result<String, Fault> {
        match self {
            Self::Text(text) | Self::Word(text) => Ok(text),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Object(_) => {
                Err(Fault::new("must be a string"))
            }
        }
    }
}

/// Reads unsigned numbers of their widths.
macro_rules! whole_numbers {
    ($($method:ident: $most:expr),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            visitor.visit_u64(self.whole($most)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Said {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (None, Some(number), _) => visitor.visit_i64(number),
                (None, None, number) => visitor.visit_f64(number.unwrap_or_default()),
            },
            Self::Text(text) | Self::Word(text) => visitor.visit_string(text),
            Self::List(items) => visitor.visit_seq(Items { left: items.into_iter(), number: 0 }),
            Self::Object(entries) => {
                visitor.visit_map(Entries { left: entries.into_iter(), value: None })
            }
        }
    }

    whole_numbers!(
        deserialize_u8: u8::MAX.into(),
        deserialize_u16: u16::MAX.into(),
        deserialize_u32: u32::MAX.into(),
        deserialize_u64: u64::MAX
    );

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let word = match &self {
            Self::Bool(value) => Some(*value),
            Self::Word(word) => word.parse().ok(),
            Self::Null | Self::Number(_) | Self::Text(_) | Self::List(_) | Self::Object(_) => None,
        };
        visitor.visit_bool(word.ok_or_else(|| Fault::new("must be true or false"))?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if matches!(self, Self::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let name: StringDeserializer<Fault> =
            self.text().map_err(|_| one_of(variants))?.into_deserializer();
        visitor.visit_enum(name)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if !matches!(self, Self::List(_)) {
            return Err(Fault::new("must be an array"));
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if !matches!(self, Self::Object(_)) {
            return Err(Fault::new("must be an object"));
        }
        self.deserialize_any(visitor)
    }

    /// An array is no object, though its items could be told apart by their places.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
        ignored_any
    }
}

struct Items {
    left: std::vec::IntoIter<Said>,
    number: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.left.next() else { return Ok(None) };
        let place = format!("[{}]", self.number);
        self.number += 1;
        seed.deserialize(item).map(Some).map_err(|fault| fault.below(place))
    }
}

struct Entries {
    left: std::vec::IntoIter<(String, Said)>,
    /// What the name that was read last stands for.
    value: Option<(String, Said)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((name, value)) = self.left.next() else { return Ok(None) };
        let key: StringDeserializer<Fault> = name.clone().into_deserializer();
        self.value = Some((name, value));
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, value) = self.value.take().ok_or_else(|| Fault::custom("no value"))?;
        seed.deserialize(value).map_err(|fault| fault.below(name))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, deny_unknown_fields)]
    struct Outer {
        name: Option<String>,
        size: u8,
        total: u64,
        is_on: bool,
        kind: Option<Kind>,
        tags: Vec<String>,
        amount: Option<Number>,
        inner: Option<Inner>,
        pairs: BTreeMap<String, u64>,
    }

    #[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Soft,
        Hard,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        port: u16,
    }

    #[test]
    fn what_is_meant_is_read() {
        let body = br#"{"name":"\u00fc","size":255,"total":18446744073709551615,"is_on":true,"kind":"hard",
            "tags":["a"],"amount":-1.5e3,"inner":{"port":1},"pairs":{"k":2}}"#;
        let expected = Outer {
            name: Some("ü".to_owned()),
            size: 255,
            total: u64::MAX,
            is_on: true,
            kind: Some(Kind::Hard),
            tags: vec!["a".to_owned()],
            amount: Number::from_f64(-1500.0),
            inner: Some(Inner { port: 1 }),
            pairs: BTreeMap::from([("k".to_owned(), 2)]),
        };
        assert_eq!(read_object::<Outer>(body).unwrap(), expected);
        assert_eq!(read_object::<Outer>(br#" {"kind":null}"#).unwrap(), Outer::default());
        let words = [("size", "7"), ("is_on", "true"), ("kind", "soft"), ("name", "5")];
        let words = words.map(|(name, word)| (name.to_owned(), word.to_owned()));
        let read: Outer = read_query(words.to_vec()).unwrap();
        assert_eq!((read.size, read.is_on, read.kind), (7, true, Some(Kind::Soft)));
        assert_eq!(read.name.as_deref(), Some("5"));
    }

    #[test]
    fn what_is_wrong_is_said_in_words_of_json() {
        let cases = [
            ("", "the body is not JSON: EOF while parsing a value at line 1 column 0"),
            ("{}x", "the body is not JSON: trailing characters at line 1 column 3"),
            ("[]", "the body must be an object"),
            (r#"["n",1]"#, "the body must be an object"),
            ("null", "the body must be an object"),
            (r#"{"inner":[1]}"#, "inner must be an object"),
            (r#"{"inner":{"port":70000}}"#, "inner.port must be a whole number from 0 to 65535"),
            (r#"{"inner":{}}"#, "inner: missing field `port`"),
            (r#"{"inner":{"x":1}}"#, "inner: unknown field `x`, expected `port`"),
            (r#"{"name":5}"#, "name must be a string"),
            (r#"{"size":"5"}"#, "size must be a whole number from 0 to 255"),
            (r#"{"size":1.0}"#, "size must be a whole number from 0 to 255"),
            (r#"{"size":null}"#, "size must be a whole number from 0 to 255"),
            (r#"{"total":-1}"#, "total must be a whole number of 0 or more"),
            (r#"{"is_on":"true"}"#, "is_on must be true or false"),
            (r#"{"kind":"firm"}"#, "kind must be one of `soft`, `hard`"),
            (r#"{"kind":["soft"]}"#, "kind must be one of `soft`, `hard`"),
            (r#"{"kind":{"soft":null}}"#, "kind must be one of `soft`, `hard`"),
            (r#"{"tags":"a"}"#, "tags must be an array"),
            (r#"{"tags":["a",1]}"#, "tags[1] must be a string"),
            (r#"{"amount":"1"}"#, "amount must be a JSON number"),
            (r#"{"pairs":[]}"#, "pairs must be an object"),
            (r#"{"pairs":{"k":"v"}}"#, "pairs.k must be a whole number of 0 or more"),
            (r#"{"size":1,"size":2}"#, "duplicate field `size`"),
        ];
        for (body, message) in cases {
            assert_eq!(read_object::<Outer>(body.as_bytes()).unwrap_err(), message, "{body}");
        }
        for (name, word) in [("size", "+7"), ("size", ""), ("size", "256"), ("is_on", "1")] {
            let pairs = vec![(name.to_owned(), word.to_owned())];
            let message = read_query::<Outer>(pairs).unwrap_err();
            assert!(message.starts_with(&format!("{name} must be ")), "{name}={word}: {message}");
        }
    }
}
