//! An account's secrets, opened.

use relay_crypto::{CryptoError, Keyring, LegacySalt};
use relay_domain::{Account, Platform};
use relay_store::AccountSecrets;
use secrecy::SecretString;

/// An account's secrets, opened.
pub(crate) struct OpenSecrets {
    pub(crate) credential: SecretString,
    pub(crate) proxy_password: Option<SecretString>,
    /// The salt of the key that the credential was sealed with, if its seal is of the predecessors.
    pub(crate) salt: LegacySalt,
}

impl OpenSecrets {
    /// Opens the secrets of `account`.
    ///
    /// v1 sealed its Codex accounts with a salt of their own and v2 with that of Claude accounts; the one
    /// that fits is taken. A proxy's password was kept in clear by both.
    ///
    /// # Errors
    ///
    /// As [`Keyring::open`], for the first that does not open.
    pub(crate) fn of(account: &Account, keyring: &Keyring) -> Result<Self, CryptoError> {
        let own = salt_of(account.platform);
        let other = match own {
            LegacySalt::Console => LegacySalt::Responses,
            LegacySalt::Responses => LegacySalt::Console,
        };
        let sealed = AccountSecrets::of(account);
        let (credential, salt) = keyring.open_first(sealed.credential.as_stored(), [own, other])?;
        let proxy_password = sealed
            .proxy_password
            .map(|password| {
                let password = password.as_stored();
                let first = keyring.open_unless_plain(password, salt);
                first.or_else(|_| keyring.open_unless_plain(password, own))
            })
            .transpose()?;
        Ok(Self { credential, proxy_password, salt })
    }
}

/// The legacy salt of a platform's credentials.
pub(crate) fn salt_of(platform: Platform) -> LegacySalt {
    match platform {
        Platform::ClaudeConsole => LegacySalt::Console,
        Platform::Codex => LegacySalt::Responses,
    }
}

#[cfg(test)]
mod tests {
    use relay_crypto::SealFormat;
    use relay_domain::{Proxy, ProxyAuth, ProxyScheme, ProxySetting, SealedSecret};
    use relay_store::contract::fixture::account;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_codex_account_of_either_predecessor_opens() {
        let keyring = Keyring::new(&"an encryption key".into(), SealFormat::Legacy);
        for salt in [LegacySalt::Responses, LegacySalt::Console] {
            let sealed = keyring.seal(&"sk-secret".into(), salt).unwrap();
            let auth = ProxyAuth {
                username: "user".to_owned(),
                password: SealedSecret::new("in:clear".to_owned()),
            };
            let (scheme, host) = (ProxyScheme::Http, "proxy".to_owned());
            let proxy = ProxySetting::Via(Proxy { scheme, host, port: 1, auth: Some(auth) });
            let secret = SealedSecret::new(sealed);
            let platform = Platform::Codex;
            let account = Account { platform, secret, proxy, ..account("a") };
            let opened = OpenSecrets::of(&account, &keyring).unwrap();
            assert_eq!((opened.credential.expose_secret(), opened.salt), ("sk-secret", salt));
            assert_eq!(opened.proxy_password.unwrap().expose_secret(), "in:clear");
            let other = Keyring::new(&"another encryption key".into(), SealFormat::Legacy);
            assert!(OpenSecrets::of(&account, &other).is_err(), "never the sealed text itself");
        }
    }
}
