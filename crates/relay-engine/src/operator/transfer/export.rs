//! Writing the file.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use relay_crypto::SealedWriter;
use relay_domain::{Account, AccountId, Calendar, LimitScope, Limits, Platform, Timestamp};
use relay_store::{AccountSecrets, AuditQuery, EventQuery, SettingsName};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::account_form::{AccountForm, SecretsForm};
use super::entry::{CounterForm, Entry, FORM, Head};
use super::limit_form::BindingForm;
use super::operator_forms::SettingsForm;
use super::{Contents, TransferError};
use crate::account_secrets::OpenSecrets;
use crate::operator::Operator;

/// How many are asked for at once of what is given in pages.
const AT_ONCE: usize = 500;

/// What an export needs to know besides the store.
pub struct ExportOptions {
    /// Opens the file again.
    pub passphrase: SecretString,
    /// The values of `ENCRYPTION_KEY` under which API keys are digested, the present one first.
    pub encryption_keys: Vec<SecretString>,
    /// The calendar of the counters.
    pub calendar: Calendar,
}

/// Lines on their way into a file.
struct Walk<F> {
    write: F,
    contents: Contents,
}

impl<F: FnMut(&[u8]) -> Result<(), TransferError> + Send> Walk<F> {
    fn put(&mut self, entry: &Entry) -> Result<(), TransferError> {
        let line = line(entry)?;
        entry.count(&mut self.contents);
        self.contents.state.add(&line);
        (self.write)(&line)
    }
}

/// What there is whose usage may be known.
struct Configured {
    limits: Vec<(LimitScope, Limits)>,
    platforms: HashMap<AccountId, Platform>,
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
        let now = self.clock.now();
        let expose = |key: &SecretString| key.expose_secret().to_owned();
        let head = Head {
            form: FORM,
            relay: env!("CARGO_PKG_VERSION").to_owned(),
            exported_at: now,
            offset_minutes: options.calendar.standard_offset_minutes(),
            encryption_keys: options.encryption_keys.iter().map(expose).collect(),
        };
        write(&line(&Entry::Head(head))?)?;
        let mut walk = Walk { write, contents: Contents::default() };
        let configured = self.walk_configuration(&mut walk).await?;
        self.walk_usage(&mut walk).await?;
        for limits in configured.limits.chunks(AT_ONCE) {
            for facts in self.stores.archive.limits(limits, now).await? {
                walk.put(&Entry::Limit(facts.into()))?;
            }
        }
        self.walk_bindings(&mut walk, &configured.platforms, now).await?;
        self.walk_statistics(&mut walk).await?;
        self.walk_trail(&mut walk).await?;
        Ok(walk.contents)
    }

    /// What an operator has made. Returns what the rest is asked by.
    async fn walk_configuration<F: FnMut(&[u8]) -> Result<(), TransferError> + Send>(
        &self,
        walk: &mut Walk<F>,
    ) -> Result<Configured, TransferError> {
        let stores = &self.stores;
        let mut configured = Configured { limits: Vec::new(), platforms: HashMap::new() };
        if let Some(login) = stores.admin.credentials().await? {
            walk.put(&Entry::Login(login.into()))?;
        }
        for account in stores.accounts.list().await? {
            let scope = LimitScope::Account(account.id.clone());
            configured.limits.push((scope, account.limits));
            configured.platforms.insert(account.id.clone(), account.platform);
            walk.put(&Entry::Account(Box::new(self.opened(account).await)))?;
        }
        for group in stores.account_groups.list().await? {
            walk.put(&Entry::AccountGroup(group.into()))?;
        }
        for group in stores.groups.list().await? {
            configured.limits.push((LimitScope::Group(group.id.clone()), group.limits));
            walk.put(&Entry::Group(group.into()))?;
        }
        for key in stores.keys.list().await? {
            configured.limits.push((LimitScope::Key(key.id.clone()), key.limits));
            walk.put(&Entry::Key(Box::new(key.into())))?;
        }
        for token in stores.admin_tokens.list().await? {
            walk.put(&Entry::Token(token.into()))?;
        }
        for name in SettingsName::ALL {
            if let Some(document) = stores.settings.read(name).await? {
                walk.put(&Entry::Settings(SettingsForm::of(name, document)))?;
            }
        }
        Ok(configured)
    }

    async fn walk_usage<F: FnMut(&[u8]) -> Result<(), TransferError> + Send>(
        &self,
        walk: &mut Walk<F>,
    ) -> Result<(), TransferError> {
        let (mut position, mut seen) = (None, HashSet::new());
        loop {
            let page = self.stores.archive.counters(position).await?;
            for counted in page.items {
                // A page may repeat what another one has.
                if seen.insert((counted.scope.clone(), counted.period)) {
                    walk.put(&Entry::Counter(CounterForm::from(counted)))?;
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
                walk.put(&Entry::record(record))?;
            }
            position = page.next;
            if position.is_none() {
                return Ok(());
            }
        }
    }

    /// Conversations that are bound, to accounts that there are.
    async fn walk_bindings<F: FnMut(&[u8]) -> Result<(), TransferError> + Send>(
        &self,
        walk: &mut Walk<F>,
        platforms: &HashMap<AccountId, Platform>,
        now: Timestamp,
    ) -> Result<(), TransferError> {
        let (mut position, mut seen) = (None, HashSet::new());
        loop {
            let page = self.stores.archive.bindings(position).await?;
            for bound in page.items {
                let platform = platforms.get(&bound.binding.account);
                let Some(platform) = platform.filter(|_| now < bound.binding.until) else {
                    continue;
                };
                if seen.insert(bound.affinity.clone()) {
                    walk.put(&Entry::Binding(BindingForm::of(*platform, bound)))?;
                }
            }
            position = page.next;
            if position.is_none() {
                return Ok(());
            }
        }
    }

    async fn walk_statistics<F: FnMut(&[u8]) -> Result<(), TransferError> + Send>(
        &self,
        walk: &mut Walk<F>,
    ) -> Result<(), TransferError> {
        let (mut position, mut seen) = (None, HashSet::new());
        loop {
            let page = self.stores.archive.segments(position).await?;
            for segment in page.items {
                if seen.insert(segment.name) {
                    walk.put(&Entry::Segment(segment.into()))?;
                }
            }
            position = page.next;
            if position.is_none() {
                break;
            }
        }
        let progress = self.stores.archive.statistics_progress().await?;
        if progress.is_none() { Ok(()) } else { walk.put(&Entry::Progress(progress.into())) }
    }

    /// What has been done and what has happened, the newest first.
    async fn walk_trail<F: FnMut(&[u8]) -> Result<(), TransferError> + Send>(
        &self,
        walk: &mut Walk<F>,
    ) -> Result<(), TransferError> {
        let mut query = AuditQuery { limit: AT_ONCE, ..AuditQuery::default() };
        loop {
            let page = self.stores.audit.page(&query).await?;
            for entry in page.entries {
                walk.put(&Entry::Audit(Box::new(entry)))?;
            }
            query.before = page.next;
            if query.before.is_none() {
                break;
            }
        }
        let mut query = EventQuery { limit: AT_ONCE, ..EventQuery::default() };
        loop {
            let page = self.stores.events.page(&query).await?;
            for event in page.events {
                walk.put(&Entry::Event(Box::new(event)))?;
            }
            query.before = page.next;
            if query.before.is_none() {
                return Ok(());
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
