//! Looking for names and reading many hashes, in pieces that never hold Redis up.

use std::collections::BTreeSet;

use redis::{Pipeline, Value};
use relay_store::StoreError;

use crate::connection::{self, ConnectionPool};
use crate::fault;
use crate::hash::Hash;

/// How many names Redis looks at in one step of a scan.
const STEP: usize = 1_000;
/// How many hashes are read in one trip.
const AT_ONCE: usize = 200;

/// Every name of a hash that `pattern` matches. A name may come twice.
pub(crate) async fn hashes(
    pool: &ConnectionPool,
    pattern: &str,
) -> Result<Vec<String>, StoreError> {
    let (mut names, mut cursor) = (Vec::new(), 0_u64);
    loop {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern);
        pipeline.arg("COUNT").arg(STEP).arg("TYPE").arg("hash");
        let answer = pool.send(&pipeline).await?.pop().unwrap_or_default();
        let (next, found): (u64, Vec<String>) = connection::read(answer, "SCAN")?;
        names.extend(found);
        cursor = next;
        if cursor == 0 {
            return Ok(names);
        }
    }
}

/// What kind of value a scan asks for.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Hash,
    Text,
}

/// One step of a scan for values of a kind that `pattern` matches, from `position` (empty for the first): where the
/// next step begins, unless this was the last, and the names found.
pub(crate) async fn step(
    pool: &ConnectionPool,
    pattern: &str,
    position: &str,
    kind: Kind,
) -> Result<(Option<String>, Vec<String>), StoreError> {
    let mut pipeline = Pipeline::with_capacity(1);
    let cursor = if position.is_empty() { "0" } else { position };
    pipeline.cmd("SCAN").arg(cursor).arg("MATCH").arg(pattern);
    let kind = match kind {
        Kind::Hash => "hash",
        Kind::Text => "string",
    };
    pipeline.arg("COUNT").arg(STEP).arg("TYPE").arg(kind);
    let answer = pool.send(&pipeline).await?.pop().unwrap_or_default();
    let (next, found): (String, Vec<String>) = connection::read(answer, "SCAN")?;
    Ok(((next != "0").then_some(next), found))
}

/// Every name of any kind. One may come twice.
pub(crate) async fn names(pool: &ConnectionPool) -> Result<Vec<String>, StoreError> {
    let (mut names, mut cursor) = (Vec::new(), 0_u64);
    loop {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("SCAN").arg(cursor).arg("COUNT").arg(STEP);
        let answer = pool.send(&pipeline).await?.pop().unwrap_or_default();
        let (next, found): (u64, Vec<String>) = connection::read(answer, "SCAN")?;
        names.extend(found);
        cursor = next;
        if cursor == 0 {
            names.sort_unstable();
            names.dedup();
            return Ok(names);
        }
    }
}

/// The members of a set, in steps. Each comes once.
pub(crate) async fn members(pool: &ConnectionPool, name: &str) -> Result<Vec<String>, StoreError> {
    let (mut members, mut cursor) = (BTreeSet::new(), 0_u64);
    loop {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("SSCAN").arg(name).arg(cursor).arg("COUNT").arg(STEP);
        let answer = pool.send(&pipeline).await?.pop().unwrap_or_default();
        let (next, found): (u64, Vec<String>) = connection::read(answer, "SSCAN")?;
        members.extend(found);
        cursor = next;
        if cursor == 0 {
            return Ok(members.into_iter().collect());
        }
    }
}

/// The members of small sets, in the order of `names`. What is no set reads as empty.
pub(crate) async fn sets(
    pool: &ConnectionPool,
    names: &[String],
) -> Result<Vec<BTreeSet<String>>, StoreError> {
    let mut sets = Vec::with_capacity(names.len());
    for names in names.chunks(AT_ONCE) {
        let mut pipeline = Pipeline::with_capacity(names.len());
        for name in names {
            pipeline.cmd("SMEMBERS").arg(name);
        }
        for answer in pool.send_leniently(&pipeline).await? {
            sets.push(if is_other(&answer) {
                BTreeSet::new()
            } else {
                connection::read(answer, "SMEMBERS")?
            });
        }
    }
    if sets.len() == names.len() { Ok(sets) } else { Err(fault::unexpected("SMEMBERS")) }
}

/// The fields of a hash that is read in steps. A field may come twice.
pub(crate) async fn fields(
    pool: &ConnectionPool,
    name: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let (mut fields, mut cursor) = (Vec::new(), 0_u64);
    loop {
        let mut pipeline = Pipeline::with_capacity(1);
        pipeline.cmd("HSCAN").arg(name).arg(cursor).arg("COUNT").arg(STEP);
        let answer = pool.send(&pipeline).await?.pop().unwrap_or_default();
        let (next, found): (u64, Vec<(String, String)>) = connection::read(answer, "HSCAN")?;
        fields.extend(found);
        cursor = next;
        if cursor == 0 {
            return Ok(fields);
        }
    }
}

/// Some fields of the hashes under `names`, in their order. What is no hash reads as absent.
pub(crate) async fn read_fields(
    pool: &ConnectionPool,
    names: &[String],
    fields: &[&'static str],
) -> Result<Vec<Hash>, StoreError> {
    let mut hashes = Vec::with_capacity(names.len());
    for names in names.chunks(AT_ONCE) {
        let mut pipeline = Pipeline::with_capacity(names.len());
        for name in names {
            pipeline.cmd("HMGET").arg(name).arg(fields);
        }
        for answer in pool.send_leniently(&pipeline).await? {
            hashes.push(if is_other(&answer) {
                Hash::default()
            } else {
                let values: Vec<Option<String>> = connection::read(answer, "HMGET")?;
                fields
                    .iter()
                    .zip(values)
                    .filter_map(|(field, value)| Some((*field, value?)))
                    .collect()
            });
        }
    }
    if hashes.len() == names.len() { Ok(hashes) } else { Err(fault::unexpected("HMGET")) }
}

/// Whether there is something else than what was asked for.
fn is_other(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "WRONGTYPE")
}

/// The hashes under `names`, in their order. What is no hash reads as absent.
pub(crate) async fn read_all(
    pool: &ConnectionPool,
    names: &[String],
) -> Result<Vec<Hash>, StoreError> {
    // While the answers for one half are read, Redis works on the other.
    let half = if names.len() <= AT_ONCE { names.len() } else { names.len() / 2 };
    let (front, back) = names.split_at(half);
    let (mut hashes, more) = tokio::try_join!(read_in_turn(pool, front), read_in_turn(pool, back))?;
    hashes.extend(more);
    if hashes.len() == names.len() { Ok(hashes) } else { Err(fault::unexpected("HGETALL")) }
}

async fn read_in_turn(pool: &ConnectionPool, names: &[String]) -> Result<Vec<Hash>, StoreError> {
    let mut hashes = Vec::with_capacity(names.len());
    for names in names.chunks(AT_ONCE) {
        let mut pipeline = Pipeline::with_capacity(names.len());
        for name in names {
            pipeline.cmd("HGETALL").arg(name);
        }
        for answer in pool.send_leniently(&pipeline).await? {
            hashes.push(if is_other(&answer) {
                Hash::default()
            } else {
                Hash::from_value(answer)?
            });
        }
    }
    Ok(hashes)
}
