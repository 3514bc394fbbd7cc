//! Where a webhook is. Such a URL is often a secret itself, so only its host is ever shown.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

use super::address_guard::{AddressGuard, RefusedAddress};

/// A URL that is told of events. Prints as scheme and host.
#[derive(Clone, Eq, PartialEq)]
pub struct WebhookUrl(Uri);

/// Why a text is no URL of a webhook.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WebhookUrlError {
    /// It is not one.
    #[error("must be a URL such as https://host/path, without a user name")]
    Invalid,
    /// Its address is never told anything.
    #[error(transparent)]
    Refused(#[from] RefusedAddress),
}

impl WebhookUrl {
    /// Reads a URL: `https`, or `http` where the operator trusts the way.
    ///
    /// # Errors
    ///
    /// [`WebhookUrlError`] for anything else, for credentials in it, and for an address in the host's place
    /// that must not be told anything.
    pub fn parse(text: &str, allow_private: bool) -> Result<Self, WebhookUrlError> {
        let url: Uri = text.trim().parse().map_err(|_| WebhookUrlError::Invalid)?;
        let is_web = matches!(url.scheme_str(), Some("https" | "http"));
        let authority = url.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        if !is_web || authority.is_empty() || authority.contains('@') {
            return Err(WebhookUrlError::Invalid);
        }
        let url = Self(url);
        if let Some(address) = url.address() {
            AddressGuard::new(allow_private).check(address)?;
        }
        Ok(url)
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    /// The address that stands in the host's place, if one does. No name is looked up then.
    pub(super) fn address(&self) -> Option<IpAddr> {
        let host = self.0.host()?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        bare.parse().ok()
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        write!(f, "{}://{authority}", self.0.scheme_str().unwrap_or_default())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        let url = WebhookUrl::parse("https://hooks.example:8443/T0/hidden?token=hidden", false);
        let url = url.unwrap();
        assert_eq!(
            format!("{url} {url:?}"),
            "https://hooks.example:8443 https://hooks.example:8443"
        );
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for bad in ["", "hooks.example", "ftp://h/", "https://user:hidden@h/", "/path"] {
            assert_eq!(WebhookUrl::parse(bad, true), Err(WebhookUrlError::Invalid), "{bad}");
        }
        for bad in [
            "http://169.254.169.254/latest/meta-data",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[::ffff:a9fe:a9fe]:80/",
            "http://[fd00:ec2::254]/",
        ] {
            let refused = WebhookUrl::parse(bad, true);
            assert!(matches!(refused, Err(WebhookUrlError::Refused(_))), "{bad}: {refused:?}");
        }
        for private in ["http://127.0.0.1:9/", "http://[::1]/", "https://10.0.0.1/"] {
            assert!(WebhookUrl::parse(private, true).is_ok(), "{private}");
            assert!(WebhookUrl::parse(private, false).is_err(), "{private}");
        }
    }
}
