//! Writing the file.

use std::collections::HashSet;
use std::io::Write;

use relay_crypto::SealedWriter;
use relay_domain::{Account, Calendar};
use relay_store::AccountSecrets;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::account_form::{AccountForm, SecretsForm};
use super::entry::{CounterForm, Entry, FORM, Head};
use super::{Contents, TransferError};
use crate::account_secrets::OpenSecrets;
use crate::operator::Operator;

/// What an export needs to know besides the store.
pub struct ExportOptions {
    /// Opens the file again.
    pub passphrase: SecretString,
    /// The values of `ENCRYPTION_KEY` under which API keys are digested, the present one first.
    pub encryption_keys: Vec<SecretString>,
    /// The calendar of the counters.
    pub calendar: Calendar,
}

impl Operator {
    /// Writes everything that the store holds into `file`, sealed. What changes meanwhile may be in it or
    /// not.
    ///
    /// # Errors
    ///
    /// [`TransferError`] if the store, a secret or the file fails; the file is then cut short and refused
    /// by an import.
    pub async fn export<W: Write + Send>(
        &self,
        file: W,
        options: &ExportOptions,
    ) -> Result<(W, Contents), TransferError> {
        let mut writer = SealedWriter::create(file, &options.passphrase)?;
        let contents = self.walk(options, |line| Ok(writer.write(line)?)).await?;
        Ok((writer.finish()?, contents))
    }

    /// What the store holds, as an export would write it.
    ///
    /// # Errors
    ///
    /// As [`export`](Self::export).
    pub async fn contents(&self, options: &ExportOptions) -> Result<Contents, TransferError> {
        self.walk(options, |_| Ok(())).await
    }

    /// Makes a line of everything that there is.
    async fn walk(
        &self,
        options: &ExportOptions,
        mut write: impl FnMut(&[u8]) -> Result<(), TransferError> + Send,
    ) -> Result<Contents, TransferError> {
        let mut contents = Contents::default();
        let expose = |key: &SecretString| key.expose_secret().to_owned();
        let head = Head {
            form: FORM,
            relay: env!("CARGO_PKG_VERSION").to_owned(),
            exported_at: self.clock.now(),
            offset_minutes: options.calendar.offset_minutes(),
            encryption_keys: options.encryption_keys.iter().map(expose).collect(),
        };
        write(&line(&Entry::Head(head))?)?;
        let mut put = |entry: &Entry, line: &[u8]| {
            entry.count(&mut contents);
            let digest = contents.state.add(line);
            write(line).map(|()| digest)
        };
        if let Some(login) = self.stores.admin.credentials().await? {
            let entry = Entry::Login(login.into());
            put(&entry, &line(&entry)?)?;
        }
        for account in self.stores.accounts.list().await? {
            let entry = Entry::Account(Box::new(self.opened(account).await));
            put(&entry, &line(&entry)?)?;
        }
        for key in self.stores.keys.list().await? {
            let entry = Entry::Key(Box::new(key.into()));
            put(&entry, &line(&entry)?)?;
        }
        let (mut position, mut seen) = (None, HashSet::new());
        loop {
            let page = self.stores.archive.counters(position).await?;
            for counted in page.items {
                // A page may repeat what another one has.
                if seen.insert((counted.scope.clone(), counted.period)) {
                    let entry = Entry::Counter(CounterForm::from(counted));
                    put(&entry, &line(&entry)?)?;
                }
            }
            position = page.next;
            if position.is_none() {
                break;
            }
        }
        loop {
            let page = self.stores.archive.records(position).await?;
            for record in page.items {
                let entry = Entry::record(record);
                put(&entry, &line(&entry)?)?;
            }
            position = page.next;
            if position.is_none() {
                return Ok(contents);
            }
        }
    }

    /// An account with its secrets opened, if they open.
    async fn opened(&self, account: Account) -> AccountForm {
        let secrets = if let Ok(opened) = self.open(&account).await {
            let OpenSecrets { credential, proxy_password, .. } = opened;
            SecretsForm::Open {
                credential: credential.expose_secret().to_owned(),
                proxy_password: proxy_password.map(|secret| secret.expose_secret().to_owned()),
            }
        } else {
            let AccountSecrets { credential, proxy_password } = AccountSecrets::of(&account);
            SecretsForm::Sealed {
                credential: credential.as_stored().to_owned(),
                proxy_password: proxy_password.map(|secret| secret.as_stored().to_owned()),
            }
        };
        AccountForm::of(account, secrets)
    }
}

fn line(entry: &Entry) -> Result<Zeroizing<Vec<u8>>, TransferError> {
    let mut line =
        Zeroizing::new(serde_json::to_vec(entry).map_err(|error| TransferError::Io(error.into()))?);
    line.push(b'\n');
    Ok(line)
}
