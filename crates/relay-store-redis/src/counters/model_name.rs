//! The name under which a model is counted.

use std::borrow::Cow;

use relay_domain::ModelName;

/// v1's rule: the names that Bedrock and Ollama give to a model are the model's own.
pub(crate) fn counted(model: &ModelName) -> Cow<'_, str> {
    let name = model.as_str();
    let short = if name.contains(".anthropic.") || name.contains(".claude") {
        let inner = without_region(name);
        let inner: Cow<'_, str> = match inner.split_once("anthropic.") {
            Some(("", rest)) => rest.into(),
            Some((before, after)) => [before, after].concat().into(),
            None => inner.into(),
        };
        match inner {
            Cow::Borrowed(inner) => without_version(inner).into(),
            Cow::Owned(inner) => without_version(&inner).to_owned().into(),
        }
    } else {
        let plain = without_version(name);
        Cow::Borrowed(if plain == name {
            name.strip_suffix(":latest").unwrap_or(name)
        } else {
            plain
        })
    };
    if short.is_empty() { name.into() } else { short }
}

/// Without what stands before the first dot, such as `us.`.
fn without_region(name: &str) -> &str {
    let is_region = |text: &str| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !text.is_empty() && text.bytes().all(allowed)
    };
    match name.split_once('.') {
        Some((region, rest)) if is_region(region) => rest,
        Some(_) | None => name,
    }
}

/// Without a version at the end, such as `-v1:0`.
fn without_version(name: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let split = || {
        let (rest, minor) = name.rsplit_once(':')?;
        let (rest, major) = rest.rsplit_once("-v")?;
        (is_number(minor) && is_number(major)).then_some(rest)
    };
    split().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_as_v1_shortens_them() {
        for (name, expected) in [
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"),
            ("us.anthropic.claude-sonnet-4-20250514-v1:0", "claude-sonnet-4-20250514"),
            ("anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307"),
            ("eu.claude-opus-4", "claude-opus-4"),
            ("some-model-v2:10", "some-model"),
            ("llama3:latest", "llama3"),
            ("llama3:70b", "llama3:70b"),
            ("gpt-5.1", "gpt-5.1"),
            (":latest", ":latest"),
        ] {
            assert_eq!(counted(&ModelName::try_from(name).unwrap()), expected, "{name}");
        }
    }
}
