//! Reading the file and taking in what it holds.

use std::io::{self, BufRead as _, BufReader, Read};

use relay_crypto::SealedReader;
use relay_domain::{Account, RequestRecord, SealedSecret};
use relay_store::{AccountSecrets, Counted, StoreError};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::account_form::{AccountForm, SecretsForm};
use super::entry::{Entry, FORM, Head};
use super::{Contents, TransferError};
use crate::account_secrets::salt_of;
use crate::operator::Operator;

/// How many counters or records are taken in at once.
const AT_ONCE: usize = 500;

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
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ImportReport {
    /// The administrator's login.
    pub logins: Tally,
    /// API keys.
    pub keys: Tally,
    /// Upstream accounts.
    pub accounts: Tally,
    /// Counters of usage.
    pub counters: Tally,
    /// Records of requests.
    pub records: Tally,
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
            let is_sound = match entry {
                Entry::Key(key) => key.into_key().is_some(),
                Entry::Counter(counter) => counter.into_counted().is_some(),
                Entry::Head(_) => false,
                Entry::Login(_) | Entry::Account(_) | Entry::Record(_) => true,
            };
            if !is_sound {
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
        Ok(stores.admin.credentials().await?.is_none()
            && stores.accounts.list().await?.is_empty()
            && stores.keys.list().await?.is_empty()
            && stores.archive.records(None).await?.items.is_empty())
    }

    /// Takes in what `file` holds. What the store has already, by the same id, stays as it is: repeating an
    /// import changes nothing. Secrets are sealed anew for this store.
    ///
    /// # Errors
    ///
    /// [`TransferError::NotEmpty`] if there is something and it is not to be merged with, before anything is
    /// written; otherwise [`TransferError`] of the store or the file, and what was added until then stays.
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
        let mut report = ImportReport::default();
        let (mut counters, mut records) = (Vec::new(), Vec::new());
        while let Some(entry) = lines.next()? {
            let unknown = TransferError::UnknownEntry { line: lines.number };
            match entry {
                Entry::Head(_) => return Err(unknown),
                Entry::Login(login) => {
                    let added = self.stores.admin.initialise(&login.into()).await?;
                    report.logins.note(usize::from(added), 1);
                }
                Entry::Account(form) => {
                    let account = self.sealed(*form).await?;
                    report.accounts.note_created(self.stores.accounts.create(&account).await)?;
                }
                Entry::Key(form) => {
                    let key = form.into_key().ok_or(unknown)?;
                    report.keys.note_created(self.stores.keys.create(&key).await)?;
                }
                Entry::Counter(form) => {
                    counters.push(form.into_counted().ok_or(unknown)?);
                    if counters.len() == AT_ONCE {
                        self.add_counters(&mut counters, &mut report).await?;
                    }
                }
                Entry::Record(form) => {
                    records.push(RequestRecord::from(*form));
                    if records.len() == AT_ONCE {
                        self.add_records(&mut records, &mut report).await?;
                    }
                }
            }
        }
        self.add_counters(&mut counters, &mut report).await?;
        self.add_records(&mut records, &mut report).await?;
        Ok(report)
    }

    async fn add_counters(
        &self,
        counters: &mut Vec<Counted>,
        report: &mut ImportReport,
    ) -> Result<(), TransferError> {
        let added = self.stores.archive.add_counters(counters).await?;
        report.counters.note(added, counters.len());
        counters.clear();
        Ok(())
    }

    async fn add_records(
        &self,
        records: &mut Vec<RequestRecord>,
        report: &mut ImportReport,
    ) -> Result<(), TransferError> {
        let added = self.stores.archive.add_records(records).await?;
        report.records.note(added, records.len());
        records.clear();
        Ok(())
    }

    /// An account with its secrets sealed for this store.
    async fn sealed(&self, form: AccountForm) -> Result<Account, TransferError> {
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
    /// Whether all that was in the file was added.
    #[must_use]
    pub fn is_all_added(&self) -> bool {
        let Self { logins, keys, accounts, counters, records } = self;
        [logins, keys, accounts, counters, records].iter().all(|tally| tally.kept == 0)
    }
}

impl Tally {
    fn note(&mut self, added: usize, of: usize) {
        self.added += added;
        self.kept += of.saturating_sub(added);
    }

    fn note_created(&mut self, created: Result<(), StoreError>) -> Result<(), StoreError> {
        match created {
            Ok(()) => self.note(1, 1),
            Err(StoreError::Duplicate { .. }) => self.note(0, 1),
            Err(error) => return Err(error),
        }
        Ok(())
    }
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
            Some(Entry::Head(head)) if head.form == FORM => Ok(head),
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
