//! A request that is admitted and not settled.

use relay_domain::{
    AccountId, GroupId, KeyId, ModelName, NanoUsd, Platform, Timestamp, TokenUsage,
};
use relay_store::Progress;
use serde::{Deserialize, Serialize};

use crate::holds::Hold;

/// What a reaper needs to know of a request, but for the end of its lease, which is a column.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct HoldForm {
    key: KeyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
    platform: Platform,
    model: ModelName,
    stream: bool,
    started_at: Timestamp,
    progress: Option<ProgressForm>,
}

#[derive(Debug, Deserialize, Serialize)]
struct ProgressForm {
    account: AccountId,
    served_model: Option<ModelName>,
    usage: TokenUsage,
    cost: Option<NanoUsd>,
    #[serde(default)]
    charged: Option<NanoUsd>,
}

impl HoldForm {
    /// The form of a hold.
    pub(crate) fn of(hold: &Hold) -> Self {
        let progress = |told: &Progress| ProgressForm {
            account: told.account.clone(),
            served_model: told.served_model.clone(),
            usage: told.usage,
            cost: told.cost,
            charged: told.charged,
        };
        Self {
            key: hold.key.clone(),
            group: hold.group.clone(),
            platform: hold.platform,
            model: hold.model.clone(),
            stream: hold.stream,
            started_at: hold.started_at,
            progress: hold.progress.as_ref().map(progress),
        }
    }

    /// The hold that has this form and this lease.
    pub(crate) fn into_hold(self, lease_until: Timestamp) -> Hold {
        let progress = |form: ProgressForm| Progress {
            account: form.account,
            served_model: form.served_model,
            usage: form.usage,
            cost: form.cost,
            charged: form.charged,
        };
        Hold {
            key: self.key,
            group: self.group,
            platform: self.platform,
            model: self.model,
            stream: self.stream,
            started_at: self.started_at,
            lease_until,
            progress: self.progress.map(progress),
        }
    }
}

#[cfg(test)]
mod tests {
    use relay_store::contract::fixture::{at, checkpoint, key_id, model, usage};

    use super::*;

    #[test]
    fn the_stored_form_of_a_hold_stays_as_it_is() {
        let stored = concat!(
            r#"{"key":"k","platform":"claude-console","model":"m","stream":true,"#,
            r#""started_at":2208961800000,"progress":{"account":"account-one","#,
            r#""served_model":"claude-sonnet-4-5-20250929","usage":{"input":1,"output":20,"#,
            r#""cache_read":300,"cache_write_5m":4000,"cache_write_1h":50000},"cost":4200,"charged":5000}}"#,
        );
        let hold = Hold {
            key: key_id("k"),
            group: None,
            platform: Platform::ClaudeConsole,
            model: model("m"),
            stream: true,
            started_at: at(0),
            lease_until: at(60),
            progress: checkpoint(0, at(60), usage(1)).progress,
        };
        assert_eq!(serde_json::to_string(&HoldForm::of(&hold)).unwrap(), stored);
        let read: HoldForm = serde_json::from_str(stored).unwrap();
        assert_eq!(read.into_hold(at(60)), hold);
    }
}
