//! Reading the file and taking in what it holds.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read};

use relay_crypto::SealedReader;
use relay_domain::{Account, Actor, SealedSecret};
use relay_store::{AccountSecrets, AuditQuery, SettingsName};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde_json::{Map, json};

use super::account_form::{AccountForm, SecretsForm};
use super::entry::{Entry, FORM, Head};
use super::taking_in::TakingIn;
use super::{Contents, Section, TransferError};
use crate::account_secrets::salt_of;
use crate::operator::Operator;
use crate::operator::audit::Change;

/// A file that was read to its end and is whole.
pub struct ImportFile<O> {
    open: O,
    passphrase: SecretString,
    head: Head,
    contents: Contents,
}

/// What became of the entries of one section.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// They were added.
    pub added: usize,
    /// The store had them already, and they stayed as they were.
    pub kept: usize,
}

/// What an import did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ImportReport {
    tallies: BTreeMap<Section, Tally>,
}

impl<R: Read, O: Fn() -> io::Result<R>> ImportFile<O> {
    /// Reads the file that `open` opens, twice in all, to its end.
    ///
    /// # Errors
    ///
    /// [`TransferError`] if the passphrase is wrong, or the file is damaged, cut short or of a later
    /// version.
    pub fn check(open: O, passphrase: SecretString) -> Result<Self, TransferError> {
        let mut lines = Lines::open(&open, &passphrase)?;
        let head = lines.head()?;
        let mut contents = Contents::default();
        while let Some(entry) = lines.next()? {
            contents.state.add(&lines.line);
            entry.count(&mut contents);
            if !entry.makes_sense() {
                return Err(TransferError::UnknownEntry { line: lines.number });
            }
        }
        Ok(Self { open, passphrase, head, contents })
    }

    /// What is in it.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// The values of `ENCRYPTION_KEY` under which its API keys are digested.
    pub fn encryption_keys(&self) -> impl Iterator<Item = SecretString> + '_ {
        self.head.encryption_keys.iter().map(|key| SecretString::from(key.as_str()))
    }

    /// How many minutes the calendar of its counters is ahead of UTC.
    pub fn offset_minutes(&self) -> i32 {
        self.head.offset_minutes
    }
}

impl Operator {
    /// Whether the store holds nothing yet.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn holds_nothing(&self) -> Result<bool, TransferError> {
        let stores = &self.stores;
        if stores.admin.credentials().await?.is_some()
            || !stores.accounts.list().await?.is_empty()
            || !stores.account_groups.list().await?.is_empty()
            || !stores.groups.list().await?.is_empty()
            || !stores.keys.list().await?.is_empty()
            || !stores.admin_tokens.list().await?.is_empty()
            || !stores.archive.records(None).await?.items.is_empty()
        {
            return Ok(false);
        }
        for name in SettingsName::ALL {
            if stores.settings.read(name).await?.is_some() {
                return Ok(false);
            }
        }
        let trail = AuditQuery { limit: 1, ..AuditQuery::default() };
        if !stores.audit.page(&trail).await?.entries.is_empty() {
            return Ok(false);
        }
        let mut position = None;
        loop {
            let page = stores.archive.counters(position).await?;
            position = page.next;
            if !page.items.is_empty() || position.is_none() {
                return Ok(page.items.is_empty());
            }
        }
    }

    /// Takes in what `file` holds. What the store has already, by the same id, stays as it is: repeating an
    /// import changes nothing. Secrets are sealed anew for this store.
    ///
    /// # Errors
    ///
    /// [`TransferError::NotEmpty`] if there is something and it is not to be merged with, before anything is
    /// written; otherwise [`TransferError`] of the store or the file, and what was added until then stays. The
    /// trail tells of it, and of every merge; an import into an empty store that is whole brings its own trail.
    pub async fn import<R: Read, O: Fn() -> io::Result<R>>(
        &self,
        file: &ImportFile<O>,
        merge: bool,
    ) -> Result<ImportReport, TransferError> {
        if !merge && !self.holds_nothing().await? {
            return Err(TransferError::NotEmpty);
        }
        let mut lines = Lines::open(&file.open, &file.passphrase)?;
        lines.head()?;
        let mut taking_in = TakingIn::new(self);
        let taken = take_all(&mut lines, &mut taking_in).await;
        let report = taking_in.report();
        if merge || taken.is_err() {
            self.note_import(&file.contents, &report, taken.as_ref().err()).await;
        }
        taken.map(|()| report)
    }

    /// Notes that a file was taken in: which one, what became of its entries, and what ended it before its end.
    async fn note_import(
        &self,
        contents: &Contents,
        report: &ImportReport,
        failure: Option<&TransferError>,
    ) {
        let of = |count: fn(&Tally) -> usize| {
            let counts = report.tallies.iter().map(|(section, tally)| (section, count(tally)));
            let counts = counts.filter(|(_, count)| *count > 0);
            let named = counts.map(|(section, count)| (section.name().to_owned(), json!(count)));
            named.collect::<Map<_, _>>()
        };
        let mut after = json!({
            "state": contents.state.to_hex(),
            "added": of(|tally| tally.added),
            "kept": of(|tally| tally.kept),
        });
        if let Some(failure) = failure {
            after["failed"] = json!(failure.to_string());
        }
        let (action, kind, id) = ("store.import", "store", "store".to_owned());
        let change = Change { action, kind, id, before: None, after: Some(after) };
        self.note(&Actor::shell(), change).await;
    }

    /// An account with its secrets sealed for this store.
    pub(super) async fn sealed(&self, form: AccountForm) -> Result<Account, TransferError> {
        let (platform, secrets, account) = form.into_parts();
        let secrets = match secrets {
            SecretsForm::Sealed { credential, proxy_password } => AccountSecrets {
                credential: SealedSecret::new(credential),
                proxy_password: proxy_password.map(SealedSecret::new),
            },
            SecretsForm::Open { credential, proxy_password } => {
                let salt = salt_of(platform);
                let proxy_password = match proxy_password {
                    Some(password) => Some(self.seal(password.into(), salt).await?),
                    None => None,
                };
                AccountSecrets {
                    credential: self.seal(credential.into(), salt).await?,
                    proxy_password,
                }
            }
        };
        Ok(account(secrets))
    }
}

impl ImportReport {
    /// What became of the entries of a section.
    pub fn tally(&self, section: Section) -> Tally {
        self.tallies.get(&section).copied().unwrap_or_default()
    }

    /// Whether all that was in the file was added.
    #[must_use]
    pub fn is_all_added(&self) -> bool {
        self.tallies.values().all(|tally| tally.kept == 0)
    }

    /// So many entries of a section were added, of so many.
    pub(super) fn note(&mut self, section: Section, added: usize, of: usize) {
        let tally = self.tallies.entry(section).or_default();
        tally.added += added;
        tally.kept += of.saturating_sub(added);
    }
}

/// Takes in what is left of a file.
async fn take_all<R: Read>(
    lines: &mut Lines<R>,
    taking_in: &mut TakingIn<'_>,
) -> Result<(), TransferError> {
    while let Some(entry) = lines.next()? {
        let unknown = TransferError::UnknownEntry { line: lines.number };
        taking_in.take(entry, unknown).await?;
    }
    taking_in.finish().await
}

/// The entries of a file.
struct Lines<R: Read> {
    reader: BufReader<SealedReader<R>>,
    line: Zeroizing<Vec<u8>>,
    /// Of the line read last, from 1.
    number: usize,
}

impl<R: Read> Lines<R> {
    fn open(
        open: impl Fn() -> io::Result<R>,
        passphrase: &SecretString,
    ) -> Result<Self, TransferError> {
        let reader = SealedReader::open(open().map_err(TransferError::Io)?, passphrase)?;
        Ok(Self { reader: BufReader::new(reader), line: Zeroizing::default(), number: 0 })
    }

    fn head(&mut self) -> Result<Head, TransferError> {
        match self.next()? {
            Some(Entry::Head(head)) if (1..=FORM).contains(&head.form) => Ok(head),
            _ => Err(TransferError::UnknownEntry { line: 1 }),
        }
    }

    fn next(&mut self) -> Result<Option<Entry>, TransferError> {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line).map_err(of_reader)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        // What the parser says may quote the line.
        let entry = serde_json::from_slice(&self.line);
        entry.map(Some).map_err(|_| TransferError::UnknownEntry { line: self.number })
    }
}

/// The reader's own error, which passes through one of I/O.
fn of_reader(error: io::Error) -> TransferError {
    match error.downcast() {
        Ok(crypto) => TransferError::File(crypto),
        Err(error) => TransferError::Io(error),
    }
}
