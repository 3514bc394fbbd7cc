//! Where prices come from, and reading them there.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use http::Uri;
use relay_pricing::{Origin, PriceTable, PricingError};

use super::fetch::FetchError;

/// The largest table that is read. The real one has less than two million bytes.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Where prices come from. The table that is part of the program is always below.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum PriceSource {
    /// Nowhere else.
    #[default]
    Builtin,
    /// A file, read again when it changes.
    File(PathBuf),
    /// A URL, asked again now and then.
    Url {
        /// Where the table is.
        table: PriceUrl,
        /// Where its SHA-256 is, if it is published: a table that does not have it is refused.
        sha256: Option<PriceUrl>,
    },
}

impl PriceSource {
    /// What its prices say about themselves.
    pub(super) fn origin(&self) -> Origin {
        match self {
            Self::Builtin => Origin::Builtin,
            Self::File(_) => Origin::File,
            Self::Url { .. } => Origin::Url,
        }
    }
}

impl fmt::Display for PriceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("builtin"),
            Self::File(path) => path.display().fmt(f),
            Self::Url { table, .. } => table.fmt(f),
        }
    }
}

/// A URL that an operator has configured. Prints without its query, which may hold a token.
#[derive(Clone, Eq, PartialEq)]
pub struct PriceUrl(Uri);

/// Why a text is no URL of prices.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be a URL such as https://host/prices.json, without a user name")]
pub struct InvalidUrl;

impl PriceUrl {
    /// Reads a URL: `https`, or `http` where the operator trusts the way.
    ///
    /// # Errors
    ///
    /// [`InvalidUrl`] for anything else, and for credentials in it.
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        let url: Uri = text.trim().parse().map_err(|_| InvalidUrl)?;
        let is_web = matches!(url.scheme_str(), Some("https" | "http"));
        let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        if !is_web || authority.is_empty() || authority.contains('@') {
            return Err(InvalidUrl);
        }
        Ok(Self(url))
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for PriceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        write!(f, "{}://{authority}{}", self.0.scheme_str().unwrap_or_default(), self.0.path())
    }
}

impl fmt::Debug for PriceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why prices could not be read from their source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("the file cannot be read")]
    File(#[source] std::io::Error),
    /// It is larger than any price table.
    #[error("it has more than 16 MiB")]
    TooLarge,
    /// The URL did not give it.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The published SHA-256 is none, or that of something else.
    #[error("its SHA-256 is {found}, and {published} is published")]
    OtherHash {
        /// What was read.
        found: String,
        /// What should have been.
        published: String,
    },
    /// It is no price table.
    #[error(transparent)]
    Table(#[from] PricingError),
    /// The process is shutting down.
    #[error("reading was cut short")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl SourceError {
    /// All that is known about it, in one sentence.
    #[must_use]
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct FileStamp {
    modified: Option<SystemTime>,
    length: u64,
}

/// The file's present state.
pub(super) fn stamp(path: &Path) -> Result<FileStamp, SourceError> {
    let found = std::fs::metadata(path).map_err(SourceError::File)?;
    Ok(FileStamp { modified: found.modified().ok(), length: found.len() })
}

/// Reads a table from a file. Blocks.
pub(super) fn read_file(path: &Path) -> Result<PriceTable, SourceError> {
    let file = std::fs::File::open(path).map_err(SourceError::File)?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(SourceError::File)?;
    if bytes.len() > MAX_BYTES {
        return Err(SourceError::TooLarge);
    }
    Ok(PriceTable::parse(&bytes)?)
}

/// The hash in a published text: the first word, as `sha256sum` writes it.
pub(super) fn published_hash(text: &str) -> String {
    text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_whole_and_shown_without_its_query() {
        let url = PriceUrl::parse(" https://host:8443/a/prices.json?token=hidden ").unwrap();
        assert_eq!(url.to_string(), "https://host:8443/a/prices.json");
        assert_eq!(format!("{url:?}"), "https://host:8443/a/prices.json");
        assert_eq!(url.uri().query(), Some("token=hidden"));
        for text in [
            "",
            "host/prices.json",
            "/etc/passwd",
            "file:///etc/passwd",
            "ftp://h/x",
            "https://u:p@h/x",
            "https://",
        ] {
            assert_eq!(PriceUrl::parse(text), Err(InvalidUrl), "{text}");
        }
    }

    #[test]
    fn a_published_hash_is_the_first_word() {
        assert_eq!(published_hash("ABCD  model_prices.json\n"), "abcd");
        assert_eq!(published_hash(" \n"), "");
    }
}
