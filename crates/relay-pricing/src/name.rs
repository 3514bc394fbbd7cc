//! Forms of a model's name. Only forms that say nothing about the price are taken apart.

/// The name without what clients and clouds put around it: Claude Code's `[1m]`, and Bedrock's
/// region, vendor and version, as in `us.anthropic.claude-sonnet-4-20250514-v1:0`.
pub(crate) fn plain(model: &str) -> &str {
    let model = model.strip_suffix("[1m]").unwrap_or(model);
    let regions = ["us.", "eu.", "apac.", "global."];
    let local = regions.iter().find_map(|region| model.strip_prefix(region)).unwrap_or(model);
    match local.strip_prefix("anthropic.") {
        Some(of_vendor) => without_version(of_vendor).unwrap_or(of_vendor),
        None => model,
    }
}

/// The name without the snapshot that it ends in: `-20250514`, `@20250514`, `-2025-05-14`, or
/// `-latest`.
pub(crate) fn base(name: &str) -> Option<&str> {
    dated(name).map(|(base, _)| base).or_else(|| name.strip_suffix("-latest"))
}

/// The name without the date that it ends in, and that date as a number that sorts by time.
pub(crate) fn dated(name: &str) -> Option<(&str, u32)> {
    let compact = || {
        let (base, date) = split_end(name, 8, &['-', '@'])?;
        Some((
            base,
            number(date.get(..4)?, 4)?,
            number(date.get(4..6)?, 2)?,
            number(date.get(6..)?, 2)?,
        ))
    };
    let dashed = || {
        let (base, date) = split_end(name, 10, &['-'])?;
        let (year, rest) = date.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        Some((base, number(year, 4)?, number(month, 2)?, number(day, 2)?))
    };
    let (base, year, month, day) = compact().or_else(dashed)?;
    let is_date =
        (2000..2100).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    (is_date && !base.is_empty()).then_some((base, year * 10_000 + month * 100 + day))
}

/// `text` as a number of exactly so many digits.
fn number(text: &str, n_digits: usize) -> Option<u32> {
    let is_number = text.len() == n_digits && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// The last `length` bytes and what stands before them, if one of `separators` is between.
fn split_end<'a>(name: &'a str, length: usize, separators: &[char]) -> Option<(&'a str, &'a str)> {
    let (head, tail) = name.split_at_checked(name.len().checked_sub(length)?)?;
    head.strip_suffix(separators).map(|base| (base, tail))
}

/// The name without Bedrock's `-v1` or `-v1:0`.
fn without_version(name: &str) -> Option<&str> {
    let (base, version) = name.rsplit_once("-v")?;
    let (major, minor) = version.split_once(':').unwrap_or((version, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (is_number(major) && is_number(minor)).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_nothing_about_the_price_is_taken_off() {
        let cases = [
            ("claude-sonnet-5[1m]", "claude-sonnet-5"),
            ("us.anthropic.claude-sonnet-5-v1:0", "claude-sonnet-5"),
            ("global.anthropic.claude-sonnet-5-v1", "claude-sonnet-5"),
            ("anthropic.claude-sonnet-5", "claude-sonnet-5"),
            ("eu.anthropic.claude-sonnet-5-v2:10[1m]", "claude-sonnet-5"),
            ("claude-sonnet-5-v1:0", "claude-sonnet-5-v1:0"),
            ("anthropic.claude-sonnet-5-vx", "claude-sonnet-5-vx"),
            ("anthropic.claude-sonnet-5-v1:", "claude-sonnet-5-v1:"),
            ("us.gpt-5", "us.gpt-5"),
            ("[1m]", ""),
            ("", ""),
        ];
        for (model, expected) in cases {
            assert_eq!(plain(model), expected, "{model}");
        }
    }

    #[test]
    fn a_snapshot_is_a_date_or_the_word_latest() {
        let cases = [
            ("m-20250514", Some("m")),
            ("m@20250514", Some("m")),
            ("m-2025-05-14", Some("m")),
            ("m-latest", Some("m")),
            ("m@2025-05-14", None),
            ("m-5", None),
            ("m-20251314", None),
            ("m-20250500", None),
            ("m-19990514", None),
            ("m-2025-0514", None),
            ("m-2025051a", None),
            ("m-+0250514", None),
            ("m20250514", None),
            ("-20250514", None),
            ("é20250514", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(base(name), expected, "{name}");
        }
        assert!(dated("m-2025-05-14") < dated("m-20250515"), "both forms sort by time");
    }
}
