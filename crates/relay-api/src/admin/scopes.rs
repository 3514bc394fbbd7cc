//! What a token of automation must hold for a request: decided in one table, by method and routed path.

use http::Method;
use relay_domain::TokenScope;

/// Which scope a change below each path takes. What is not here takes `admin`.
const CHANGES: &[(&str, TokenScope)] = &[
    ("/api/v2/keys", TokenScope::KeysWrite),
    ("/api/v2/groups", TokenScope::KeysWrite),
    ("/api/v2/accounts", TokenScope::AccountsWrite),
    ("/api/v2/account-groups", TokenScope::AccountsWrite),
    ("/api/v2/prices", TokenScope::SettingsWrite),
    ("/api/v2/service-rates", TokenScope::SettingsWrite),
];

/// The scope that a request takes whose path was routed as `routed`.
pub(super) fn needed(method: &Method, routed: &str) -> TokenScope {
    if method == Method::GET || method == Method::HEAD {
        return TokenScope::Read;
    }
    let is_below = |path: &str| {
        routed.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let found = CHANGES.iter().find(|(path, _)| is_below(path));
    found.map_or(TokenScope::Admin, |(_, scope)| *scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_table_takes_everything() {
        let cases = [
            (Method::GET, "/api/v2/keys", TokenScope::Read),
            (Method::HEAD, "/api/v2/anything", TokenScope::Read),
            (Method::POST, "/api/v2/keys", TokenScope::KeysWrite),
            (Method::DELETE, "/api/v2/keys/{id}", TokenScope::KeysWrite),
            (Method::PUT, "/api/v2/groups/{id}", TokenScope::KeysWrite),
            (Method::POST, "/api/v2/accounts/{platform}/{id}/test", TokenScope::AccountsWrite),
            (Method::DELETE, "/api/v2/account-groups/{id}", TokenScope::AccountsWrite),
            (Method::PUT, "/api/v2/service-rates", TokenScope::SettingsWrite),
            (Method::POST, "/api/v2/keysmith", TokenScope::Admin),
            (Method::POST, "/api/v2/admin-tokens", TokenScope::Admin),
            (Method::POST, "/api/v2/auth/change-password", TokenScope::Admin),
            (Method::OPTIONS, "/api/v2/audit", TokenScope::Admin),
        ];
        for (method, path, scope) in cases {
            assert_eq!(needed(&method, path), scope, "{method} {path}");
        }
    }
}
