//! Answers that are given again.

use async_trait::async_trait;
use relay_domain::Timestamp;
use relay_store::{ANSWER_KEPT, CLAIM_KEPT, Claim, IdempotencyRepository, StoreError};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::SqliteError;
use crate::store::SqliteStore;
use crate::stored::millis;

/// How many answers are kept at most; those that end first go first.
const CAPACITY: i64 = 10_000;

#[async_trait]
impl IdempotencyRepository for SqliteStore {
    async fn claim(
        &self,
        name: &str,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let (name, fingerprint) = (name.to_owned(), fingerprint.to_owned());
        let claim =
            move |connection: &mut Connection| Ok(claim(connection, &name, &fingerprint, now)?);
        self.core().queue.run(claim).await
    }

    async fn answer(
        &self,
        name: &str,
        fingerprint: &str,
        answer: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (name, fingerprint) = (name.to_owned(), fingerprint.to_owned());
        let answer = answer.to_owned();
        let keep = move |connection: &mut Connection| {
            Ok(keep(connection, &name, &fingerprint, Some(&answer), now.plus(ANSWER_KEPT))?)
        };
        self.core().queue.run(keep).await
    }

    async fn release(&self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        let release = move |connection: &mut Connection| {
            let sql = "DELETE FROM idempotency WHERE name = ?1 AND answer IS NULL";
            connection.execute(sql, [name]).map_err(SqliteError::from)?;
            Ok(())
        };
        self.core().queue.run(release).await
    }
}

fn claim(
    connection: &Connection,
    name: &str,
    fingerprint: &str,
    now: Timestamp,
) -> Result<Claim, SqliteError> {
    let sql = "SELECT fingerprint, answer FROM idempotency WHERE name = ?1 AND ?2 < until";
    let found = connection
        .query_row(sql, params![name, millis(now)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let found: Option<(String, Option<String>)> = found;
    match found {
        Some((known, _)) if known != fingerprint => return Ok(Claim::OtherRequest),
        Some((_, Some(answer))) => return Ok(Claim::Answered(answer)),
        Some((_, None)) => return Ok(Claim::InProgress),
        None => {}
    }
    connection.execute(
        "DELETE FROM idempotency WHERE until <= ?1 OR name IN
             (SELECT name FROM idempotency ORDER BY until DESC LIMIT -1 OFFSET ?2)",
        params![millis(now), CAPACITY - 1],
    )?;
    keep(connection, name, fingerprint, None, now.plus(CLAIM_KEPT))?;
    Ok(Claim::Ours)
}

fn keep(
    connection: &Connection,
    name: &str,
    fingerprint: &str,
    answer: Option<&str>,
    until: Timestamp,
) -> Result<(), SqliteError> {
    connection.execute(
        "INSERT OR REPLACE INTO idempotency (name, fingerprint, answer, until)
         VALUES (?1, ?2, ?3, ?4)",
        params![name, fingerprint, answer, millis(until)],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::schema::{Place, open_writer};

    #[test]
    fn answers_are_forgotten_by_age_and_by_number() {
        let connection = open_writer(Place::Memory("idempotency-of-this-test")).unwrap();
        let at = |seconds| Timestamp::from_millis(1_000_000).plus(Duration::from_secs(seconds));
        let ours = |name: &str, seconds| claim(&connection, name, "f", at(seconds)).unwrap();
        assert_eq!(ours("a", 0), Claim::Ours);
        assert_eq!(ours("a", 119), Claim::InProgress);
        assert_eq!(ours("a", 120), Claim::Ours, "whoever had it is gone");
        for number in 0..CAPACITY + 5 {
            let seconds = 121 + u64::try_from(number).unwrap() / 1_000;
            assert_eq!(ours(&format!("n{number}"), seconds), Claim::Ours);
        }
        let count: i64 =
            connection.query_row("SELECT count(*) FROM idempotency", [], |row| row.get(0)).unwrap();
        assert_eq!(count, CAPACITY);
    }
}
