//! A database that a v1 or v2 left, looked at as a whole: what is in it, what cannot be read, and which of
//! v1's indexes are not what they should be.
//!
//! v2 keeps no indexes, and a v1 that comes back finds by them alone. They are compared entry by entry with
//! the hashes that they tell of; what is right is not touched.

mod account_groups;
mod account_indexes;
mod key_indexes;
mod release;
mod remarks;

use std::collections::BTreeMap;

use redis::Pipeline;
use relay_domain::{Account, AccountId, ApiKey};
use relay_store::StoreError;

use self::account_groups::GroupRepairs;
use self::account_indexes::AccountRepairs;
use self::key_indexes::KeyRepairs;
use crate::accounts::{form as account_form, rests};
use crate::connection;
use crate::keys::users::Users;
use crate::keys::{bindings, form as key_form};
use crate::keyspace::AccountFamily;
use crate::scan;
use crate::shared::Shared;

use release::LoginOf;
pub(crate) use release::release_to_v2;
pub use remarks::Remark;

/// How many names are asked for their type in one trip.
const TYPES_AT_ONCE: usize = 500;

/// Who has written into a database.
#[expect(clippy::struct_excessive_bools, reason = "each is a trace of its own, in any combination")]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traces {
    /// A v1.
    pub v1: bool,
    /// A v2.
    pub v2: bool,
    /// Relay.
    pub relay: bool,
    /// Somebody who keeps API keys or accounts.
    pub entries: bool,
}

impl Traces {
    /// Whether anybody was here.
    pub fn are_any(&self) -> bool {
        self.v1 || self.v2 || self.relay || self.entries
    }
}

/// What is in a database.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Survey {
    /// Who has written into it.
    pub traces: Traces,
    /// API keys that can be read, deleted ones included.
    pub keys: usize,
    /// Of them those that are deleted.
    pub deleted_keys: usize,
    /// Groups of accounts of the platforms that Relay serves.
    pub account_groups: usize,
    /// Keys that are bound to a group of accounts.
    pub bound_to_groups: usize,
    /// Of them those whose group is not there, by their ids, and the group. Nothing serves them.
    pub bound_in_vain: Vec<(String, String)>,
    /// Keys that v1 bound to an account that Relay does not know, by their ids, and the account. All accounts
    /// serve them.
    pub bound_elsewhere: Vec<(String, String)>,
    /// Keys whose end is no date to JavaScript, and its text. They never end, as with v1.
    pub unreadable_ends: Remark,
    /// Keys that v2 made, with a window and a limit of tokens, and that limit. v2 did not enforce it.
    pub token_limits_of_v2: Remark,
    /// Keys of a user of v1's who is not there or not active, and the user. They are refused, as with v1.
    pub users_in_vain: Remark,
    /// Keys whose group of keys is not there, and the group. They are refused.
    pub groups_in_vain: Remark,
    /// Accounts that can be read, by what their names begin with.
    pub accounts: Vec<(&'static str, usize)>,
    /// Bindings of conversations in v1's form.
    pub bindings_of_v1: usize,
    /// Bindings in v2's form, which are replaced when their conversations go on.
    pub bindings_of_v2: usize,
    /// Counters of usage.
    pub counters: usize,
    /// Rests that v1 gave accounts and that still last.
    pub rests_of_v1: usize,
    /// Rests that v1 left without an end. They are none, as with v1.
    pub endless_rests_of_v1: usize,
    /// Indexes, sums, lists and logins that Relay keeps as v1 or v2 does.
    pub kept_in_step: usize,
    /// What Relay leaves alone, by what the names begin with.
    pub untouched: BTreeMap<String, usize>,
    /// API keys and accounts that cannot be read. They are left alone.
    pub unreadable: Vec<Unreadable>,
    /// Indexes with entries that are missing, wrong or about nothing.
    pub repairs: Vec<Repair>,
    /// The accounts that can be read, for a look at their secrets.
    pub readable_accounts: Vec<Account>,
}

/// An API key or an account that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unreadable {
    /// Its name in Redis.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// What is wrong in an index.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repair {
    /// Its name in Redis.
    pub index: String,
    /// Entries that are missing or say something else.
    pub set: usize,
    /// Entries about what is not there.
    pub removed: usize,
}

/// Counts what is wrong, by index.
#[derive(Default)]
pub(crate) struct Wrongs(BTreeMap<String, (usize, usize)>);

impl Wrongs {
    fn missing(&mut self, index: impl Into<String>) {
        self.0.entry(index.into()).or_default().0 += 1;
    }

    fn stale(&mut self, index: impl Into<String>) {
        self.0.entry(index.into()).or_default().1 += 1;
    }

    fn into_repairs(self) -> Vec<Repair> {
        let repair = |(index, (set, removed))| Repair { index, set, removed };
        self.0.into_iter().map(repair).collect()
    }
}

/// What is to be done about the indexes.
pub(crate) struct Repairs {
    keys: KeyRepairs,
    accounts: AccountRepairs,
    groups: GroupRepairs,
}

/// Who has written into the database, told from a few names.
pub(crate) async fn traces(shared: &Shared) -> Result<Traces, StoreError> {
    let keyspace = &shared.keyspace;
    let entries = AccountFamily::ALL
        .map(|family| [keyspace.account_ids(family), keyspace.shared_accounts(family)])
        .concat();
    let groups: [Vec<String>; 5] = [
        keyspace.marks_of_v1().map(str::to_owned).into(),
        keyspace.marks_of_v1_or_relay().map(str::to_owned).into(),
        vec![keyspace.mark_of_v2()],
        keyspace.marks_of_relay().into(),
        entries.into_iter().chain([keyspace.key_digests().to_owned()]).collect(),
    ];
    let login = release::login(shared).await?;
    let mut pipeline = Pipeline::with_capacity(groups.len());
    for names in &groups {
        pipeline.cmd("EXISTS").arg(names);
    }
    let answers = shared.pool.send(&pipeline).await?;
    let found = answers.into_iter().map(|answer| connection::read::<u64>(answer, "EXISTS"));
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let is_any = |at: usize| found.get(at).is_some_and(|count| *count > 0);
    let relay = is_any(3) || login == Some(LoginOf::Relay);
    Ok(Traces {
        v1: is_any(0) || (is_any(1) && !relay),
        v2: is_any(2) || login == Some(LoginOf::V2),
        relay,
        entries: is_any(4),
    })
}

/// Looks at everything.
pub(crate) async fn survey(shared: &Shared) -> Result<(Survey, Repairs), StoreError> {
    let keyspace = &shared.keyspace;
    let mut survey = Survey { traces: traces(shared).await?, ..Survey::default() };
    let (mut key_ids, mut tags, mut bindings) = (Vec::new(), Vec::new(), Vec::new());
    let mut short_rests = Vec::new();
    let (mut group_ids, mut group_names) = (Vec::new(), Vec::new());
    let mut account_ids = AccountFamily::ALL.map(|family| (family, Vec::new()));
    for name in scan::names(&shared.pool).await? {
        if let Some(id) = keyspace.key_id_of(&name) {
            key_ids.push(id.to_owned());
        } else if let Some(tag) = keyspace.tag_of(&name) {
            tags.push(tag.to_owned());
        } else if keyspace.is_binding(&name) {
            bindings.push(name);
        } else if keyspace.is_short_rest(&name) {
            short_rests.push(name);
        } else if keyspace.is_kept_in_step(&name) && keyspace.counter_of(&name).is_none() {
            survey.kept_in_step += 1;
        } else if keyspace.counter_of(&name).is_some() {
            survey.counters += 1;
        } else if let Some((id, ids)) = account_ids.iter_mut().find_map(|(family, ids)| {
            Some((keyspace.account_id_of(*family, &name)?.to_owned(), ids))
        }) {
            ids.push(id);
        } else if let Some(id) = keyspace.account_group_id_of(&name) {
            group_ids.push(id.to_owned());
        } else if keyspace.is_of_account_groups(&name) {
            group_names.push(name);
        } else if !keyspace.is_own(&name) {
            let stem = name.split(':').next().unwrap_or_default();
            *survey.untouched.entry(stem.to_owned()).or_default() += 1;
        }
    }
    count_bindings(shared, &bindings, &mut survey).await?;
    survey.rests_of_v1 = rests::read(shared, &short_rests).await?.into_iter().flatten().count();
    survey.endless_rests_of_v1 = short_rests.len() - survey.rests_of_v1;
    let mut wrongs = Wrongs::default();
    let keys = keys(shared, &key_ids, &mut survey).await?;
    let groups = GroupRepairs::of(shared, (&group_ids, &group_names), &mut wrongs).await?;
    groups.tell(&keys, &mut survey);
    remarks::look_around(shared, &keys, &mut survey).await?;
    let keys = KeyRepairs::of(shared, (&key_ids, &keys, &tags), &mut wrongs).await?;
    let mut accounts = AccountRepairs::default();
    for (family, ids) in account_ids {
        let readable = accounts_of(shared, family, &ids, &mut survey).await?;
        survey.accounts.push((family.stem(), readable.len()));
        accounts.look(shared, (family, &ids, &readable), &mut wrongs).await?;
        survey.readable_accounts.extend(readable);
    }
    survey.repairs = wrongs.into_repairs();
    Ok((survey, Repairs { keys, accounts, groups }))
}

/// Makes the indexes right.
pub(crate) async fn adopt(shared: &Shared) -> Result<Survey, StoreError> {
    let (survey, Repairs { keys, accounts, groups }) = survey(shared).await?;
    keys.make(shared).await?;
    accounts.make(shared).await?;
    groups.make(shared).await?;
    Ok(survey)
}

async fn keys(
    shared: &Shared,
    ids: &[String],
    survey: &mut Survey,
) -> Result<Vec<ApiKey>, StoreError> {
    let names: Vec<_> = ids.iter().map(|id| shared.keyspace.key(id)).collect();
    let hashes = scan::read_all(&shared.pool, &names).await?;
    let users = Users::of(shared, &hashes).await?;
    let mut keys = Vec::with_capacity(ids.len());
    for ((id, name), hash) in ids.iter().zip(names).zip(hashes) {
        let why = if hash.is_absent() {
            "it is no hash".to_owned()
        } else {
            match key_form::parse(id, &hash, &users, shared.calendar) {
                Ok(key) => {
                    let elsewhere = bindings::to_unknown_accounts(&hash);
                    let elsewhere = elsewhere.map(|account| (id.clone(), account.to_owned()));
                    survey.bound_elsewhere.extend(elsewhere);
                    if key.deleted.is_some() {
                        survey.deleted_keys += 1;
                    } else {
                        remarks::look(survey, &key, &hash, shared.calendar);
                    }
                    keys.push(key);
                    continue;
                }
                Err(error) => reason(error),
            }
        };
        survey.unreadable.push(Unreadable { name, why });
    }
    survey.keys = keys.len();
    Ok(keys)
}

async fn accounts_of(
    shared: &Shared,
    family: AccountFamily,
    ids: &[String],
    survey: &mut Survey,
) -> Result<Vec<Account>, StoreError> {
    let names: Vec<_> = ids.iter().map(|id| shared.keyspace.account(family, id)).collect();
    let hashes = scan::read_all(&shared.pool, &names).await?;
    let mut accounts = Vec::with_capacity(ids.len());
    for ((id, name), hash) in ids.iter().zip(names).zip(hashes) {
        let why = match AccountId::try_from(id.as_str()) {
            Err(why) => why.to_string(),
            Ok(_) if !account_form::is_account(&hash) => "it has no id".to_owned(),
            Ok(id) => match account_form::parse(&id, family, &hash) {
                Ok(account) => {
                    accounts.push(account);
                    continue;
                }
                Err(error) => reason(error),
            },
        };
        survey.unreadable.push(Unreadable { name, why });
    }
    Ok(accounts)
}

async fn count_bindings(
    shared: &Shared,
    names: &[String],
    survey: &mut Survey,
) -> Result<(), StoreError> {
    for kind in types(shared, names).await? {
        match kind.as_str() {
            "string" => survey.bindings_of_v1 += 1,
            "hash" => survey.bindings_of_v2 += 1,
            _ => {}
        }
    }
    Ok(())
}

/// The types of what is under `names`, in their order.
async fn types(shared: &Shared, names: &[String]) -> Result<Vec<String>, StoreError> {
    let mut types = Vec::with_capacity(names.len());
    for names in names.chunks(TYPES_AT_ONCE) {
        let mut pipeline = Pipeline::with_capacity(names.len());
        for name in names {
            pipeline.cmd("TYPE").arg(name);
        }
        for answer in shared.pool.send(&pipeline).await? {
            types.push(connection::read(answer, "TYPE")?);
        }
    }
    Ok(types)
}

/// What is wrong with an entry, without its name.
fn reason(error: StoreError) -> String {
    match error {
        StoreError::Corrupt { why, .. } => why,
        error @ (StoreError::Unavailable(_)
        | StoreError::Refused(_)
        | StoreError::Duplicate { .. }
        | StoreError::Missing { .. }) => error.to_string(),
    }
}
