//! Keeps the prices in step with their source and with what operators say, on whatever instance.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use relay_domain::Timestamp;
use relay_pricing::{BookLayer, Origin, PriceBook, PriceTable, PricingError};
use relay_store::{AuditRepository, SettingsName, SettingsRepository, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fetch::{Fetched, fetch};
use super::overrides::{self, Overrides};
use super::service_rates;
use super::source::{
    FileStamp, PriceSource, PriceUrl, SourceError, published_hash, read_file, stamp,
};
use super::{Prices, StoredOverride};
use crate::Clock;

/// How often the store is asked whether another instance has changed something, and a file whether it is
/// another one.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How long the start waits for a URL. After that, the builtin prices hold until it answers.
const START_PATIENCE: Duration = Duration::from_secs(5);
/// How soon a URL that failed is asked again, if it is not asked sooner anyway.
const RETRY_AFTER: Duration = Duration::from_mins(1);

/// What a [`PriceKeeper`] works with.
pub struct PriceKeeperParts {
    /// Where prices come from.
    pub source: PriceSource,
    /// How often a URL is asked again.
    pub refresh: Duration,
    /// Where operators' overrides and service rates are kept.
    pub settings: Arc<dyn SettingsRepository>,
    /// Where their changes are noted.
    pub audit: Arc<dyn AuditRepository>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Keeps the prices.
pub struct PriceKeeper {
    source: PriceSource,
    refresh: Duration,
    pub(super) settings: Arc<dyn SettingsRepository>,
    pub(super) audit: Arc<dyn AuditRepository>,
    pub(super) clock: Arc<dyn Clock>,
    prices: Arc<Prices>,
    builtin: PriceTable,
    state: Mutex<State>,
    /// One at a time reads the source, and one the documents.
    reading: tokio::sync::Mutex<()>,
    hearing: tokio::sync::Mutex<()>,
}

/// What the prices in force are made of.
struct State {
    table: Option<Arc<PriceTable>>,
    loaded_at: Timestamp,
    checked_at: Option<Timestamp>,
    failure: Option<SourceFailure>,
    /// The file as it was when it was last read, successfully or not.
    seen: Option<FileStamp>,
    /// Under which name the URL's server knows the table.
    tag: Option<HeaderValue>,
    ask_again_at: Instant,
    overrides: Document<Overrides>,
    service_rates: Option<String>,
    /// The store could last not be asked.
    is_deaf: bool,
}

/// A document of the store: as it was read, and what it says.
#[derive(Default)]
struct Document<T> {
    text: Option<String>,
    says: T,
}

/// Why the source was last not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SourceFailure {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub why: String,
}

/// How the prices are.
#[derive(Clone, Debug)]
pub struct PriceStatus {
    /// Where they come from: `builtin`, a path or a URL without its query.
    pub source: String,
    /// The tables that the book is made of, a later one above an earlier.
    pub layers: Vec<BookLayer>,
    /// How many models have a price.
    pub models: usize,
    /// How many of them are overridden.
    pub overrides: usize,
    /// When the present table of the source was first read.
    pub loaded_at: Timestamp,
    /// When the source was last found to be as it is.
    pub checked_at: Option<Timestamp>,
    /// Why the source is not taken at present; the prices in force are older then.
    pub failure: Option<SourceFailure>,
}

impl PriceKeeper {
    /// A keeper that knows the builtin prices.
    ///
    /// # Errors
    ///
    /// [`PricingError`] if the builtin table is none, which a test rules out.
    pub fn new(parts: PriceKeeperParts) -> Result<Self, PricingError> {
        let PriceKeeperParts { source, refresh, settings, audit, clock } = parts;
        let builtin = PriceTable::builtin()?;
        let book = PriceBook::compose(&[(Origin::Builtin, &builtin)], &[].into());
        let state = State {
            table: None,
            loaded_at: clock.now(),
            checked_at: None,
            failure: None,
            seen: None,
            tag: None,
            ask_again_at: Instant::now(),
            overrides: Document::default(),
            service_rates: None,
            is_deaf: false,
        };
        Ok(Self {
            source,
            refresh,
            settings,
            audit,
            clock,
            prices: Arc::new(Prices::of(book)),
            builtin,
            state: Mutex::new(state),
            reading: tokio::sync::Mutex::default(),
            hearing: tokio::sync::Mutex::default(),
        })
    }

    /// Reads what operators have set, and the source, before the first request. A source that cannot be
    /// read is no reason not to start: the builtin prices hold, and the status says why.
    pub async fn start(&self) {
        self.hear_or_say().await;
        // Its failure is said by whoever reads it.
        if tokio::time::timeout(START_PATIENCE, self.read_if_due()).await.is_err() {
            tracing::warn!(source = %self.source, "the price source is slow; starting without it");
        }
    }

    /// What things cost at this moment, always.
    pub fn prices(&self) -> &Arc<Prices> {
        &self.prices
    }

    /// Keeps the prices until `stop` is cancelled. One task of the process runs this.
    pub async fn keep(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let looking = async {
                self.hear_or_say().await;
                self.read_if_due().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = looking => {}
            }
        }
    }

    /// Reads the source now. If that fails, the prices in force stay.
    ///
    /// # Errors
    ///
    /// [`SourceError`], which the status then says, too.
    pub async fn reload(&self) -> Result<(), SourceError> {
        let _one_at_a_time = self.reading.lock().await;
        self.read_source(true).await
    }

    /// How the prices are.
    pub fn status(&self) -> PriceStatus {
        let book = self.prices.book();
        let state = self.state();
        PriceStatus {
            source: self.source.to_string(),
            layers: book.layers().to_vec(),
            models: book.len(),
            overrides: state.overrides.says.len(),
            loaded_at: state.loaded_at,
            checked_at: state.checked_at,
            failure: state.failure.clone(),
        }
    }

    /// The override of exactly this name, as far as this instance has heard.
    pub fn override_of(&self, model: &str) -> Option<StoredOverride> {
        self.state().overrides.says.get(model).cloned()
    }

    /// Reads what operators have set, if any instance has changed it. What cannot be read changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails, or holds what is no such document.
    pub async fn hear(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.hearing.lock().await;
        let overrides = self.hear_overrides().await;
        let service_rates = self.hear_service_rates().await;
        overrides.and(service_rates)
    }

    async fn hear_overrides(&self) -> Result<(), StoreError> {
        let text = self.settings.read(SettingsName::PriceOverrides).await?;
        if self.state().overrides.text != text {
            let says = overrides::parse(text.as_deref())?;
            let mut state = self.state();
            state.overrides = Document { text, says };
            self.compose(&state);
        }
        Ok(())
    }

    async fn hear_service_rates(&self) -> Result<(), StoreError> {
        let text = self.settings.read(SettingsName::ServiceRates).await?;
        if self.state().service_rates != text {
            self.prices.set_service_rates(service_rates::parse(text.as_deref())?.rates);
            self.state().service_rates = text;
        }
        Ok(())
    }

    pub(super) async fn hear_or_say(&self) {
        let failure = self.hear().await.err();
        let is_deaf = &mut self.state().is_deaf;
        match failure {
            // Said once, and not with every look.
            Some(error) if !std::mem::replace(is_deaf, true) => {
                tracing::warn!(%error, "price overrides and service rates may have changed unheard");
            }
            Some(_) => {}
            None => *is_deaf = false,
        }
    }

    async fn read_if_due(&self) {
        let _one_at_a_time = self.reading.lock().await;
        // Its failure is in the status and in the log.
        self.read_source(false).await.ok();
    }

    /// Reads the source if it is `forced` or looks like another one than before.
    async fn read_source(&self, forced: bool) -> Result<(), SourceError> {
        let read = match &self.source {
            PriceSource::Builtin => Ok(Look::NotDue),
            PriceSource::File(path) => self.read_file(path, forced).await,
            PriceSource::Url { table, sha256 } => self.ask(table, sha256.as_ref(), forced).await,
        };
        let now = self.clock.now();
        let mut state = self.state();
        match read {
            Ok(Look::NotDue) => Ok(()),
            Ok(Look::Same) => {
                state.checked_at = Some(now);
                state.failure = None;
                Ok(())
            }
            Ok(Look::Other(table)) => {
                tracing::info!(
                    source = %self.source, sha256 = table.sha256(), models = table.len(), "prices loaded"
                );
                (state.loaded_at, state.checked_at) = (now, Some(now));
                state.failure = None;
                state.table = Some(Arc::new(table));
                self.compose(&state);
                Ok(())
            }
            Err(error) => {
                let why = error.in_full();
                // The same failure is said once, and dated by its first time.
                if state.failure.as_ref().is_none_or(|known| known.why != why) {
                    tracing::warn!(source = %self.source, error = why, "the prices in force stay");
                    state.failure = Some(SourceFailure { at: now, why });
                }
                Err(error)
            }
        }
    }

    async fn read_file(&self, path: &Path, forced: bool) -> Result<Look, SourceError> {
        let path = path.to_owned();
        let seen = self.state().seen.filter(|_| !forced);
        let work = tokio::task::spawn_blocking(move || {
            // Before reading: whoever writes meanwhile is seen by the next look.
            let stamp = stamp(&path)?;
            let table = (seen != Some(stamp)).then(|| read_file(&path));
            Ok((stamp, table))
        });
        let looked: Result<_, SourceError> = work.await?;
        let (stamp, table) = looked.inspect_err(|_| self.state().seen = None)?;
        self.state().seen = Some(stamp);
        table.map_or(Ok(Look::NotDue), |table| Ok(self.look(table?)))
    }

    async fn ask(
        &self,
        url: &PriceUrl,
        sha256: Option<&PriceUrl>,
        forced: bool,
    ) -> Result<Look, SourceError> {
        if !forced && Instant::now() < self.state().ask_again_at {
            return Ok(Look::NotDue);
        }
        let answer = self.ask_now(url, sha256, forced).await;
        let pause = if answer.is_ok() { self.refresh } else { self.refresh.min(RETRY_AFTER) };
        self.state().ask_again_at = Instant::now() + pause;
        answer
    }

    async fn ask_now(
        &self,
        url: &PriceUrl,
        sha256: Option<&PriceUrl>,
        forced: bool,
    ) -> Result<Look, SourceError> {
        let published = match sha256 {
            None => None,
            Some(url) => match fetch(url.uri(), None).await? {
                Fetched::Text { bytes, .. } => {
                    Some(published_hash(&String::from_utf8_lossy(&bytes)))
                }
                Fetched::Unchanged => None,
            },
        };
        let is_current =
            |hash: &String| self.state().table.as_ref().is_some_and(|table| table.sha256() == hash);
        if !forced && published.as_ref().is_some_and(is_current) {
            return Ok(Look::Same);
        }
        let known = self.state().tag.clone().filter(|_| !forced);
        let (bytes, tag) = match fetch(url.uri(), known.as_ref()).await? {
            Fetched::Unchanged => return Ok(Look::Same),
            Fetched::Text { bytes, tag } => (bytes, tag),
        };
        let table = tokio::task::spawn_blocking(move || PriceTable::parse(&bytes)).await??;
        if let Some(published) = published.filter(|published| published != table.sha256()) {
            let found = table.sha256().to_owned();
            return Err(SourceError::OtherHash { found, published });
        }
        // Only of what was taken: what was refused is asked for as a whole again.
        self.state().tag = tag;
        Ok(self.look(table))
    }

    fn look(&self, table: PriceTable) -> Look {
        let is_same = self.state().table.as_ref().is_some_and(|old| old.sha256() == table.sha256());
        if is_same { Look::Same } else { Look::Other(table) }
    }

    /// Makes the book of what `state` holds.
    fn compose(&self, state: &State) {
        let mut tables = vec![(Origin::Builtin, &self.builtin)];
        tables.extend(state.table.as_deref().map(|table| (self.source.origin(), table)));
        let overrides = state.overrides.says.iter();
        let overrides = overrides.map(|(model, stored)| (model.clone(), stored.price.clone()));
        self.prices.set_book(PriceBook::compose(&tables, &overrides.collect()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look at the source has shown.
enum Look {
    /// It was not looked at.
    NotDue,
    /// It is as it was.
    Same,
    /// Another table.
    Other(PriceTable),
}

#[cfg(test)]
mod tests;
