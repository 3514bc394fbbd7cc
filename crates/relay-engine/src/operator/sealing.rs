//! Accounts whose secrets do not open, and secrets that are sealed in another form than is wanted.

use std::sync::Arc;

use relay_crypto::LegacySalt;
use relay_domain::{Account, AccountId, SealedSecret};
use relay_store::AccountSecrets;

use super::{Operator, OperatorError};
use crate::account_secrets::{OpenSecrets, salt_of};

/// An account whose secrets do not open. It is not used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnreadableAccount {
    /// Its id.
    pub id: AccountId,
    /// What the operator calls it.
    pub name: String,
    /// What is wrong, without anything of the secret.
    pub why: String,
}

impl Operator {
    /// The accounts whose secrets do not open: another `ENCRYPTION_KEY` sealed them, most likely.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn unreadable_accounts(&self) -> Result<Vec<UnreadableAccount>, OperatorError> {
        Ok(self.unreadable_of(self.stores.accounts.list().await?).await)
    }

    /// Those of `accounts` whose secrets do not open.
    pub async fn unreadable_of(&self, accounts: Vec<Account>) -> Vec<UnreadableAccount> {
        let mut unreadable = Vec::new();
        for account in accounts {
            if let Err(why) = self.open(&account).await {
                let Account { id, name, .. } = account;
                unreadable.push(UnreadableAccount { id, name, why: why.to_string() });
            }
        }
        unreadable
    }

    /// Brings the secrets of every account into the form that the keyring seals in, and returns how many
    /// accounts were changed. What does not open is left alone, and so is an account that is changed at the
    /// same time: the next call finds it.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn reseal_accounts(&self) -> Result<usize, OperatorError> {
        let mut resealed = 0;
        for account in self.stores.accounts.list().await? {
            let now = AccountSecrets::of(&account);
            let is_outdated = |sealed: &SealedSecret| self.keyring.is_outdated(sealed.as_stored());
            if !is_outdated(&now.credential)
                && !now.proxy_password.as_ref().is_some_and(is_outdated)
            {
                continue;
            }
            let Ok(OpenSecrets { credential, proxy_password, salt }) = self.open(&account).await
            else {
                continue;
            };
            let proxy_password = match proxy_password {
                Some(password) => Some(self.seal(password, salt).await?),
                None => None,
            };
            let next =
                AccountSecrets { credential: self.seal(credential, salt).await?, proxy_password };
            resealed += usize::from(self.stores.accounts.reseal(&account.id, &now, &next).await?);
        }
        Ok(resealed)
    }

    /// The salt with which the predecessor whose account it is reads secrets: that of the present ones, or
    /// the platform's if they do not open.
    pub(super) async fn salt_of_account(&self, account: &Account) -> LegacySalt {
        let opened = self.open(account).await;
        opened.map_or_else(|_| salt_of(account.platform), |opened| opened.salt)
    }

    /// Opens the secrets of `account`.
    pub(super) async fn open(&self, account: &Account) -> Result<OpenSecrets, OperatorError> {
        let (keyring, account) = (Arc::clone(&self.keyring), account.clone());
        self.heavy(move || OpenSecrets::of(&account, &keyring)).await
    }
}

#[cfg(test)]
mod tests {
    use relay_crypto::{KeyHasher, Keyring, LegacySalt, SealFormat};
    use relay_domain::{Proxy, ProxyAuth, ProxyScheme, ProxySetting};
    use relay_store::contract::fixture::account;
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::operator::OperatorParts;
    use crate::operator::fixture::{Desk, keyring};

    fn sealed(secret: &str) -> SealedSecret {
        SealedSecret::new(keyring().seal(&secret.into(), LegacySalt::Console).unwrap())
    }

    /// The same store under a keyring of its own.
    fn operator(desk: &Desk, encryption_key: &str, format: SealFormat) -> Operator {
        Operator::new(OperatorParts {
            stores: desk.stores.clone(),
            keyring: Keyring::new(&encryption_key.into(), format),
            minter: relay_crypto::ApiKeyMinter::default(),
            hasher: KeyHasher::new(&encryption_key.into()),
            clock: Arc::clone(&desk.clock) as Arc<dyn crate::Clock>,
        })
    }

    #[tokio::test]
    async fn accounts_of_another_encryption_key_are_named_and_left_alone() {
        let desk = Desk::new();
        let account = Account { secret: sealed("sk-secret"), ..account("a") };
        desk.stores.accounts.create(&account).await.unwrap();
        assert_eq!(desk.operator.unreadable_accounts().await.unwrap(), []);
        let other = operator(&desk, "another encryption key", SealFormat::Aead);
        let unreadable = other.unreadable_accounts().await.unwrap();
        let [UnreadableAccount { id, why, .. }] = &unreadable[..] else { panic!("{unreadable:?}") };
        assert_eq!(*id, account.id);
        assert!(why.contains("ENCRYPTION_KEY"), "{why}");
        assert_eq!(other.reseal_accounts().await.unwrap(), 0);
        assert_eq!(desk.stores.accounts.get(&account.id).await.unwrap(), Some(account));
    }

    #[tokio::test]
    async fn secrets_are_resealed_once_and_back() {
        let desk = Desk::new();
        let auth = ProxyAuth {
            username: "user".to_owned(),
            password: SealedSecret::new("kept:in:clear".to_owned()),
        };
        let (scheme, host) = (ProxyScheme::Http, "proxy".to_owned());
        let proxy = ProxySetting::Via(Proxy { scheme, host, port: 1, auth: Some(auth) });
        let account = Account { secret: sealed("sk-secret"), proxy, ..account("a") };
        desk.stores.accounts.create(&account).await.unwrap();
        assert_eq!(desk.operator.reseal_accounts().await.unwrap(), 0, "v1 must be able to read it");

        let key = "an encryption key of the tests' own";
        for (format, prefix) in [(SealFormat::Aead, "v1.aead:"), (SealFormat::Legacy, "")] {
            let operator = operator(&desk, key, format);
            assert_eq!(operator.reseal_accounts().await.unwrap(), 1, "{format:?}");
            assert_eq!(operator.reseal_accounts().await.unwrap(), 0, "{format:?}");
            let kept = desk.stores.accounts.get(&account.id).await.unwrap().unwrap();
            let secrets = AccountSecrets::of(&kept);
            for sealed in [&secrets.credential, secrets.proxy_password.as_ref().unwrap()] {
                assert!(sealed.as_stored().starts_with(prefix), "{}", sealed.as_stored());
                assert!(!sealed.as_stored().contains("clear"));
            }
            let opened = operator.open(&kept).await.unwrap();
            assert_eq!(opened.credential.expose_secret(), "sk-secret");
            assert_eq!(opened.proxy_password.unwrap().expose_secret(), "kept:in:clear");
        }
    }
}
