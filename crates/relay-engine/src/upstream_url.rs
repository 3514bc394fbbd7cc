//! Where a request to an account goes, however the operator spelled its base URL.

use std::fmt;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// What Relay calls on a Messages provider, below its base URL.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// A message.
    Messages,
    /// How many tokens a message would have. Free at the provider, and so here.
    CountTokens,
}

impl Endpoint {
    fn path(self) -> &'static str {
        match self {
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
        }
    }
}

/// An account's base URL, understood once.
#[derive(Clone, Debug)]
pub struct UpstreamUrl {
    scheme: Scheme,
    authority: Authority,
    /// Empty, or begins with a slash and does not end with one.
    prefix: String,
}

impl UpstreamUrl {
    /// Reads a base URL: `https://host`, with or without a port, a trailing slash, a path before
    /// `/v1`, `/v1` itself or all of `/v1/messages`. `None` if it is none of these.
    #[must_use]
    pub fn parse(base: &str) -> Option<Self> {
        let parts = base.trim().parse::<Uri>().ok()?.into_parts();
        let scheme =
            parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)?;
        // Credentials in a URL would end up in logs; a query would be lost.
        let authority = parts.authority.filter(|authority| !authority.as_str().contains('@'))?;
        let path = parts.path_and_query.unwrap_or(PathAndQuery::from_static("/"));
        if path.query().is_some() {
            return None;
        }
        let mut prefix = path.path().trim_end_matches('/');
        for suffix in ["/count_tokens", "/messages", "/v1"] {
            prefix = prefix.strip_suffix(suffix).unwrap_or(prefix).trim_end_matches('/');
        }
        Some(Self { scheme, authority, prefix: prefix.to_owned() })
    }

    /// The address of `endpoint`, with the client's query.
    ///
    /// # Errors
    ///
    /// If the query holds what no URL may hold.
    pub fn join(&self, endpoint: Endpoint, query: Option<&str>) -> Result<Uri, http::Error> {
        self.below(endpoint.path(), query)
    }

    /// The address of the list of models, which is free to ask for.
    ///
    /// # Errors
    ///
    /// If the base URL's path is too long to be called.
    pub(crate) fn models(&self) -> Result<Uri, http::Error> {
        self.below("/v1/models", None)
    }

    fn below(&self, path: &'static str, query: Option<&str>) -> Result<Uri, http::Error> {
        let path_and_query = match query {
            None if self.prefix.is_empty() => PathAndQuery::from_static(path),
            None => PathAndQuery::try_from(format!("{}{path}", self.prefix))?,
            Some(query) => PathAndQuery::try_from(format!("{}{path}?{query}", self.prefix))?,
        };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path_and_query)
            .build()
    }
}

impl fmt::Display for UpstreamUrl {
    /// The base URL in the one spelling that is kept: without a trailing slash and without `/v1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_to_one_address() {
        let cases = [
            ("https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
            ("https://api.anthropic.com/", "https://api.anthropic.com/v1/messages"),
            ("https://api.anthropic.com/v1", "https://api.anthropic.com/v1/messages"),
            ("https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/messages"),
            ("https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1/messages"),
            ("https://api.anthropic.com/v1/messages/", "https://api.anthropic.com/v1/messages"),
            (" https://host:8443/claude ", "https://host:8443/claude/v1/messages"),
            (
                "http://127.0.0.1:9/api/v1/messages/count_tokens",
                "http://127.0.0.1:9/api/v1/messages",
            ),
        ];
        for (base, expected) in cases {
            let joined = UpstreamUrl::parse(base).unwrap().join(Endpoint::Messages, None).unwrap();
            assert_eq!(joined.to_string(), expected, "{base}");
        }
        let url = UpstreamUrl::parse("https://h/x")
            .unwrap()
            .join(Endpoint::CountTokens, Some("beta=true&a=%2f"))
            .unwrap();
        assert_eq!(url.to_string(), "https://h/x/v1/messages/count_tokens?beta=true&a=%2f");
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for base in [
            "",
            "api.anthropic.com",
            "/v1",
            "ftp://host",
            "https://",
            "https://user:pw@host",
            "https://h/?a=1",
        ] {
            assert!(UpstreamUrl::parse(base).is_none(), "{base}");
        }
    }
}
