//! An account's proxy as JSON: v1's form and v2's are read, v1's is written.
//!
//! Each of them passes over the other's form and connects directly. Here, what is stored and cannot be
//! used is said to be so: an account with a proxy is never reached without one.

use relay_domain::{Proxy, ProxyAuth, ProxyScheme, ProxySetting, SealedSecret};
use relay_store::StoreError;
use serde::{Deserialize, Serialize};

/// What is written where something is stored that cannot be used: v1 and v2 cannot use it either.
const UNUSABLE: &str = r#"{"unusable":true}"#;

#[derive(Deserialize)]
struct AnyForm {
    #[serde(alias = "protocol")]
    r#type: String,
    host: String,
    port: Port,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    auth: Option<AuthForm>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Text(String),
}

#[derive(Deserialize)]
struct AuthForm {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
}

#[derive(Serialize)]
struct V1Form<'a> {
    r#type: ProxyScheme,
    host: &'a str,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
}

/// Reads either form.
pub(super) fn parse(text: &str) -> ProxySetting {
    match text.trim() {
        "" | "null" => ProxySetting::Direct,
        text => serde_json::from_str(text)
            .ok()
            .and_then(usable)
            .map_or(ProxySetting::Unusable, ProxySetting::Via),
    }
}

/// Writes v1's form.
///
/// # Errors
///
/// [`StoreError::Refused`] if it cannot be written as JSON.
pub(super) fn text(setting: &ProxySetting) -> Result<String, StoreError> {
    let proxy = match setting {
        ProxySetting::Direct => return Ok(String::new()),
        ProxySetting::Unusable => return Ok(UNUSABLE.to_owned()),
        ProxySetting::Via(proxy) => proxy,
    };
    let form = V1Form {
        r#type: proxy.scheme,
        host: &proxy.host,
        port: proxy.port,
        username: proxy.auth.as_ref().map(|auth| auth.username.as_str()),
        password: proxy.auth.as_ref().map(|auth| auth.password.as_stored()),
    };
    serde_json::to_string(&form).map_err(|error| StoreError::Refused(Box::new(error)))
}

fn usable(form: AnyForm) -> Option<Proxy> {
    let scheme = match form.r#type.as_str() {
        "http" => ProxyScheme::Http,
        "https" => ProxyScheme::Https,
        "socks5" | "socks5h" => ProxyScheme::Socks5,
        _ => return None,
    };
    let port = match form.port {
        Port::Number(port) => port,
        Port::Text(port) => port.trim().parse().ok()?,
    };
    if form.host.is_empty() || port == 0 {
        return None;
    }
    let (nested_username, nested_password) =
        form.auth.map_or((None, None), |auth| (auth.username, auth.password));
    let username = form.username.or(nested_username).filter(|text| !text.is_empty());
    let password = form.password.or(nested_password).filter(|text| !text.is_empty());
    // Both or none, as in v1.
    let auth = username
        .zip(password)
        .map(|(username, password)| ProxyAuth { username, password: SealedSecret::new(password) });
    Some(Proxy { scheme, host: form.host, port, auth })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(scheme: ProxyScheme, auth: Option<(&str, &str)>) -> ProxySetting {
        let auth = auth.map(|(username, password)| ProxyAuth {
            username: username.to_owned(),
            password: SealedSecret::new(password.to_owned()),
        });
        ProxySetting::Via(Proxy { scheme, host: "h".to_owned(), port: 1080, auth })
    }

    #[test]
    fn both_forms_are_read_and_nothing_becomes_direct_by_mistake() {
        let cases = [
            ("", ProxySetting::Direct),
            ("null", ProxySetting::Direct),
            (r#"{"type":"socks5","host":"h","port":1080}"#, via(ProxyScheme::Socks5, None)),
            (
                r#"{"type":"http","host":"h","port":"1080","username":"u","password":"p"}"#,
                via(ProxyScheme::Http, Some(("u", "p"))),
            ),
            (
                r#"{"protocol":"https","host":"h","port":1080,"auth":{"username":"u","password":"p"}}"#,
                via(ProxyScheme::Https, Some(("u", "p"))),
            ),
            (
                r#"{"type":"http","host":"h","port":1080,"username":"u","password":""}"#,
                via(ProxyScheme::Http, None),
            ),
            (r#"{"type":"socks4","host":"h","port":1080}"#, ProxySetting::Unusable),
            (r#"{"type":"http","host":"","port":1080}"#, ProxySetting::Unusable),
            (r#"{"type":"http","host":"h","port":99999}"#, ProxySetting::Unusable),
            (r#"{"host":"h","port":1080}"#, ProxySetting::Unusable),
            ("{}", ProxySetting::Unusable),
            ("http://h:1080", ProxySetting::Unusable),
            (UNUSABLE, ProxySetting::Unusable),
        ];
        for (json, expected) in cases {
            assert_eq!(parse(json), expected, "{json}");
        }
    }

    #[test]
    fn what_is_written_is_the_form_of_v1() {
        let setting = via(ProxyScheme::Socks5, Some(("u", "sealed")));
        let json = text(&setting).unwrap();
        assert_eq!(
            json,
            r#"{"type":"socks5","host":"h","port":1080,"username":"u","password":"sealed"}"#
        );
        assert_eq!(parse(&json), setting);
    }
}
