//! Lists of API keys, by all of them in memory, which are brought up to date before each.

use std::collections::HashSet;
use std::sync::Arc;

use relay_domain::{ApiKey, Timestamp};
use relay_store::{KeyListing, KeyQuery, KeySort, Page, StoreError};
use rusqlite::{Connection, params};
use tokio::sync::Mutex;

use super::{read, select};
use crate::counters::KEY_SCOPE;
use crate::error::SqliteError;
use crate::reader::read_version;
use crate::store::SqliteStore;
use crate::stored::{moment, number, whole};

/// How many keys are read before others may use the connection.
const READ_AT_ONCE: i64 = 500;

/// The keys, as of when they were last listed.
#[derive(Default)]
pub(crate) struct Listing(Mutex<KeyListing>);

/// What has changed since a version.
struct News {
    version: u64,
    changed: Vec<ApiKey>,
    /// How many keys there are now.
    count: usize,
}

impl SqliteStore {
    /// A page of keys. Those on it are read anew.
    pub(super) async fn page_of_keys(&self, query: &KeyQuery) -> Result<Page<ApiKey>, StoreError> {
        let Page { items, total, next } =
            self.listed(query, query.sort == KeySort::LastUsedAt).await?;
        let read_all = move |connection: &mut Connection| {
            let keys = items.iter().map(|key| read(connection, &key.id));
            // One that was removed in between is no longer there.
            keys.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()
        };
        Ok(Page { items: self.core().queue.run(read_all).await?, total, next })
    }

    /// All keys that are asked for.
    pub(super) async fn all_keys(&self, query: &KeyQuery) -> Result<Page<Arc<ApiKey>>, StoreError> {
        self.listed(&KeyQuery { limit: usize::MAX, ..query.clone() }, true).await
    }

    /// What is asked for, of the listing as it is now.
    async fn listed(
        &self,
        query: &KeyQuery,
        with_uses: bool,
    ) -> Result<Page<Arc<ApiKey>>, StoreError> {
        let mut listing = self.core().listing.0.lock().await;
        self.bring_up_to_date(&mut listing).await?;
        if with_uses {
            let uses = self.core().queue.run(|connection| Ok(last_uses(connection)?)).await?;
            listing.note_uses(uses.iter().map(|(id, at)| (id.as_str(), *at)));
        }
        Ok(listing.page(query))
    }

    async fn bring_up_to_date(&self, listing: &mut KeyListing) -> Result<(), StoreError> {
        let queue = &self.core().queue;
        if listing.version.is_none() {
            *listing = self.read_listing().await?;
        }
        let since = listing.version.unwrap_or(0);
        let Some(news) = queue.run(move |connection| news(connection, since)).await? else {
            return Ok(());
        };
        let changed = news.changed.into_iter().map(|key| (key.id.clone(), Some(key)));
        listing.change(news.version, changed);
        if listing.len() != news.count {
            // Nothing that is gone stays because this was broken off.
            listing.version = None;
            let ids = queue.run(|connection| Ok(ids(connection)?)).await?;
            listing.retain(|id| ids.contains(id.as_str()));
            listing.version = Some(news.version);
        }
        Ok(())
    }

    async fn read_listing(&self) -> Result<KeyListing, StoreError> {
        let queue = &self.core().queue;
        // The version first, so that the listing is at least as new as it says.
        let version = queue.run(|connection| Ok(read_version(connection)?)).await?.keys;
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let from = after.clone();
            let read = move |connection: &mut Connection| {
                let which = "WHERE ?1 < api_key.id ORDER BY api_key.id LIMIT ?2";
                select(connection, which, params![from, READ_AT_ONCE])
            };
            let keys = queue.run(read).await?;
            let Some(last) = keys.last() else { return Ok(KeyListing::new(version, all)) };
            last.id.as_str().clone_into(&mut after);
            all.extend(keys);
        }
    }
}

fn news(connection: &Connection, since: u64) -> Result<Option<News>, StoreError> {
    let version = read_version(connection)?.keys;
    if version == since {
        return Ok(None);
    }
    let changed = select(connection, "WHERE ?1 < api_key.version", [whole(since)])?;
    let count: i64 = connection
        .query_row("SELECT count(*) FROM api_key", [], |row| row.get(0))
        .map_err(SqliteError::from)?;
    let count = usize::try_from(number(count)).unwrap_or(usize::MAX);
    Ok(Some(News { version, changed, count }))
}

fn ids(connection: &Connection) -> Result<HashSet<String>, SqliteError> {
    let mut read = connection.prepare_cached("SELECT id FROM api_key")?;
    let ids = read.query_map([], |row| row.get(0))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// When every key that was used here was last used. When it was before it was added, the key itself tells.
fn last_uses(connection: &Connection) -> Result<Vec<(String, Timestamp)>, SqliteError> {
    let mut read = connection.prepare_cached(&format!(
        "SELECT id, last_at FROM usage WHERE kind = 0 AND period = '' AND scope = {KEY_SCOPE}"
    ))?;
    let uses = read.query_map([], |row| Ok((row.get(0)?, moment(row.get(1)?))))?;
    Ok(uses.collect::<Result<_, _>>()?)
}
