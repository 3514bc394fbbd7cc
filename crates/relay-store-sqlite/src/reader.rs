//! What an admission reads: a connection of its own, so that it never waits for the writer.

use relay_domain::{AccountId, AffinityKey};
use relay_store::{Binding, ConfigVersion, StoreError};
use rusqlite::{Connection, OptionalExtension as _};

use crate::change_watch::ChangeWatch;
use crate::error::{SqliteError, corrupt};
use crate::schema::{Place, open_reader};
use crate::stored::moment;

/// Reads what an admission needs to know.
pub(crate) struct Reader {
    connection: Connection,
    /// `None` for a database in memory, which has nothing to watch.
    watch: Option<ChangeWatch>,
    version: ConfigVersion,
}

impl Reader {
    /// Opens a connection of its own to a database that has its schema.
    pub(crate) fn open(place: Place<'_>) -> Result<Self, SqliteError> {
        let connection = open_reader(place)?;
        let version = read_version(&connection)?;
        let watch = match place {
            Place::File(path) => Some(ChangeWatch::over(path)?),
            Place::Memory(_) => None,
        };
        Ok(Self { connection, watch, version })
    }

    /// The versions of what is configured, with every change that was committed before the call, by
    /// whatever process.
    pub(crate) fn version(&mut self) -> Result<ConfigVersion, SqliteError> {
        let Self { connection, watch, version } = self;
        let mut read = || {
            *version = read_version(connection)?;
            Ok(())
        };
        match watch {
            Some(watch) => watch.if_changed(read)?,
            None => read()?,
        }
        Ok(self.version)
    }

    /// The binding of a conversation, ended or not.
    pub(crate) fn binding(&self, affinity: &AffinityKey) -> Result<Option<Binding>, StoreError> {
        let read = || {
            let mut read = self
                .connection
                .prepare_cached("SELECT account, until FROM binding WHERE affinity = ?1")?;
            read.query_row([affinity.as_str()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        };
        let found: Option<(String, i64)> = read().map_err(SqliteError::from)?;
        let Some((account, until)) = found else { return Ok(None) };
        let account = AccountId::try_from(account)
            .map_err(|why| corrupt(format!("the binding of {affinity}"), why))?;
        Ok(Some(Binding { account, until: moment(until) }))
    }
}

/// The versions of what is configured.
pub(crate) fn read_version(connection: &Connection) -> Result<ConfigVersion, SqliteError> {
    let mut read = connection.prepare_cached("SELECT keys, accounts FROM config_version")?;
    let (keys, accounts): (i64, i64) = read.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let number = |raw: i64| u64::try_from(raw).unwrap_or(0);
    Ok(ConfigVersion { keys: number(keys), accounts: number(accounts) })
}
