//! How much a batch of settlements makes Redis do, which serves nobody else meanwhile.
//!
//! What is counted for the same key, account or model is added up before it is written, so that a batch costs
//! hardly more than one of its settlements if they are alike, and as much as all of them if they are not.

use relay_domain::{ModelName, RequestRecord};

/// Commands of one script at most: a millisecond and a half, or a few on a machine that is busy.
const COMMANDS: usize = 1_500;

// Commands, roughly, that a batch has for each of these: fields of its counters, each written by one, and what
// else is kept of it.
const OF_ALL: usize = 50;
const OF_SETTLEMENT: usize = 5;
const OF_KEY: usize = 90;
const OF_KEY_AND_MODEL: usize = 40;
const OF_ACCOUNT: usize = 60;
const OF_ACCOUNT_AND_MODEL: usize = 40;
const OF_MODEL: usize = 45;
const OF_GROUP: usize = 70;

/// What a batch makes Redis do so far.
#[derive(Debug)]
pub(super) struct Effort {
    commands: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self { commands: OF_ALL }
    }
}

impl Effort {
    /// Whether there is room for another settlement, which then has it. `record`: what it counts, if
    /// anything; `counted`: what the others count. The first one always has room.
    pub(super) fn admits<'a>(
        &mut self,
        record: Option<&RequestRecord>,
        counted: impl Iterator<Item = &'a RequestRecord>,
    ) -> bool {
        let commands = OF_SETTLEMENT + record.map_or(0, |record| added(record, counted));
        let has_room = self.commands + commands <= COMMANDS;
        if has_room {
            self.commands += commands;
        }
        has_room
    }
}

/// The commands for what none of `counted` has.
fn added<'a>(record: &RequestRecord, counted: impl Iterator<Item = &'a RequestRecord>) -> usize {
    let mut key = OF_KEY;
    let mut key_and_model = OF_KEY_AND_MODEL;
    let mut account = if record.account.is_some() { OF_ACCOUNT } else { 0 };
    let mut account_and_model = if record.account.is_some() { OF_ACCOUNT_AND_MODEL } else { 0 };
    let mut model = OF_MODEL;
    let mut group = if record.group.is_some() { OF_GROUP } else { 0 };
    for other in counted {
        let is_of_model = served(record) == served(other);
        if record.key == other.key {
            key = 0;
            key_and_model = if is_of_model { 0 } else { key_and_model };
        }
        if record.account == other.account {
            account = 0;
            account_and_model = if is_of_model { 0 } else { account_and_model };
        }
        if record.group == other.group {
            group = 0;
        }
        if is_of_model {
            model = 0;
        }
        if key + key_and_model + account + account_and_model + model + group == 0 {
            // As a rule it is like the first one.
            break;
        }
    }
    key + key_and_model + account + account_and_model + model + group
}

fn served(record: &RequestRecord) -> &ModelName {
    record.served_model.as_ref().unwrap_or(&record.model)
}

#[cfg(test)]
mod tests {
    use relay_store::contract::fixture::{account_id, group_id, model, record};

    use super::*;

    /// How many of `records` a batch has room for.
    fn room(records: impl Iterator<Item = RequestRecord>) -> usize {
        let (mut effort, mut batch) = (Effort::default(), Vec::new());
        for record in records {
            if !effort.admits(Some(&record), batch.iter()) {
                break;
            }
            batch.push(record);
        }
        batch.len()
    }

    #[test]
    fn those_that_are_alike_are_many_and_those_that_are_not_are_few() {
        let of_one_key = room((0..250).map(|number| record(number, "k")));
        let of_many_keys = room((0..250).map(|number| record(number, &format!("k{number}"))));
        let models = (0..250).map(|number| RequestRecord {
            served_model: Some(model(&format!("m{number}"))),
            ..record(number, "k")
        });
        let of_many_models = room(models);
        let all_different = room((0..250).map(|number| RequestRecord {
            served_model: Some(model(&format!("m{number}"))),
            account: Some(account_id(&format!("a{number}"))),
            group: Some(group_id(&format!("g{number}"))),
            ..record(number, &format!("k{number}"))
        }));
        assert!(100 < of_one_key, "{of_one_key}");
        assert_eq!([of_many_keys, of_many_models, all_different], [9, 10, 4]);
    }

    #[test]
    fn what_counts_nothing_costs_little() {
        let (mut effort, counted) = (Effort::default(), [record(1, "k")]);
        assert!(effort.admits(Some(&counted[0]), [].iter()));
        let after_one = effort.commands;
        assert!(effort.admits(None, counted.iter()));
        assert_eq!(effort.commands, after_one + OF_SETTLEMENT);
    }
}
