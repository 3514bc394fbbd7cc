//! A request that is admitted and not settled.

use relay_domain::{
    AccountId, CostBreakdown, Edit, GroupId, KeyId, ModelName, NanoUsd, Platform, ServedTerms,
    Timestamp, TokenUsage, UsageSource,
};
use relay_store::{Estimate, Progress};
use serde::{Deserialize, Serialize};

use crate::holds::{Assigned, Hold};

/// What a reaper needs to know of a request, but for the end of its lease, which is a column.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct HoldForm {
    key: KeyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<GroupId>,
    platform: Platform,
    model: ModelName,
    /// Though its name is none of a Claude model.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    may_be_claude: bool,
    stream: bool,
    started_at: Timestamp,
    progress: Option<ProgressForm>,
    #[serde(default)]
    estimate: EstimateForm,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assigned: Option<AssignedForm>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct EstimateForm {
    tokens: u64,
    cost: NanoUsd,
    charged: NanoUsd,
}

#[derive(Debug, Deserialize, Serialize)]
struct AssignedForm {
    account: AccountId,
    day_minute: u16,
}

#[derive(Debug, Deserialize, Serialize)]
struct ProgressForm {
    account: AccountId,
    served_model: Option<ModelName>,
    usage: TokenUsage,
    #[serde(default = "provider_told", skip_serializing_if = "is_providers")]
    usage_source: UsageSource,
    #[serde(default, skip_serializing_if = "ServedTerms::are_usual")]
    terms: ServedTerms,
    cost: Option<NanoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    presumed_cost: Option<NanoUsd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost_by_kind: Option<CostBreakdown>,
    #[serde(default)]
    charged: Option<NanoUsd>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    edits: Vec<Edit>,
}

/// What stands where nothing does: the provider's own word.
fn provider_told() -> UsageSource {
    UsageSource::Partial
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_providers(source: &UsageSource) -> bool {
    *source == provider_told()
}

impl HoldForm {
    /// The form of a hold.
    pub(crate) fn of(hold: &Hold) -> Self {
        let progress = |told: &Progress| ProgressForm {
            account: told.account.clone(),
            served_model: told.served_model.clone(),
            usage: told.usage,
            usage_source: told.usage_source,
            terms: told.terms,
            cost: told.cost,
            presumed_cost: told.presumed_cost,
            cost_by_kind: told.cost_by_kind,
            charged: told.charged,
            edits: told.edits.clone(),
        };
        let assigned =
            |to: &Assigned| AssignedForm { account: to.account.clone(), day_minute: to.day_minute };
        let Estimate { tokens, cost, charged } = hold.estimate;
        Self {
            key: hold.key.clone(),
            group: hold.group.clone(),
            platform: hold.platform,
            model: hold.model.clone(),
            may_be_claude: hold.may_be_claude && !hold.model.is_claude(),
            stream: hold.stream,
            started_at: hold.started_at,
            progress: hold.progress.as_ref().map(progress),
            estimate: EstimateForm { tokens, cost, charged },
            assigned: hold.assigned.as_ref().map(assigned),
        }
    }

    /// The hold that has this form and this lease.
    pub(crate) fn into_hold(self, lease_until: Timestamp) -> Hold {
        let progress = |form: ProgressForm| Progress {
            account: form.account,
            served_model: form.served_model,
            usage: form.usage,
            usage_source: form.usage_source,
            terms: form.terms,
            cost: form.cost,
            presumed_cost: form.presumed_cost,
            cost_by_kind: form.cost_by_kind,
            charged: form.charged,
            edits: form.edits,
        };
        let EstimateForm { tokens, cost, charged } = self.estimate;
        let assigned =
            |form: AssignedForm| Assigned { account: form.account, day_minute: form.day_minute };
        Hold {
            key: self.key,
            group: self.group,
            platform: self.platform,
            may_be_claude: self.may_be_claude || self.model.is_claude(),
            model: self.model,
            stream: self.stream,
            started_at: self.started_at,
            lease_until,
            progress: self.progress.map(progress),
            estimate: Estimate { tokens, cost, charged },
            assigned: self.assigned.map(assigned),
        }
    }
}

#[cfg(test)]
mod tests {
    use relay_store::contract::fixture::{account_id, at, checkpoint, key_id, model, usage};

    use super::*;

    #[test]
    fn the_stored_form_of_a_hold_stays_as_it_is() {
        let stored = concat!(
            r#"{"key":"k","platform":"claude-console","model":"m","may_be_claude":true,"stream":true,"#,
            r#""started_at":2208961800000,"progress":{"account":"account-one","#,
            r#""served_model":"claude-sonnet-4-5-20250929","usage":{"input":1,"output":20,"#,
            r#""cache_read":300,"cache_write_5m":4000,"cache_write_1h":50000},"terms":{"fast":true},"cost":4200,"presumed_cost":4300,"#,
            r#""cost_by_kind":{"input":4000,"output":200,"cache_read":0,"cache_write_5m":0,"#,
            r#""cache_write_1h":0,"web_search":0},"charged":5000,"edits":[{"kind":"model","to":"claude-fable-5"}]},"#,
            r#""estimate":{"tokens":7,"cost":8,"charged":9},"#,
            r#""assigned":{"account":"account-two","day_minute":30}}"#,
        );
        let hold = Hold {
            key: key_id("k"),
            group: None,
            platform: Platform::ClaudeConsole,
            model: model("m"),
            may_be_claude: true,
            stream: true,
            started_at: at(0),
            lease_until: at(60),
            progress: checkpoint(0, at(60), usage(1)).progress,
            estimate: Estimate {
                tokens: 7,
                cost: NanoUsd::from_nanos(8),
                charged: NanoUsd::from_nanos(9),
            },
            assigned: Some(Assigned { account: account_id("account-two"), day_minute: 30 }),
        };
        assert_eq!(serde_json::to_string(&HoldForm::of(&hold)).unwrap(), stored);
        let read: HoldForm = serde_json::from_str(stored).unwrap();
        assert_eq!(read.into_hold(at(60)), hold);
    }

    #[test]
    fn a_hold_of_before_there_were_estimates_holds_nothing() {
        let stored = r#"{"key":"k","platform":"codex","model":"m","may_be_claude":true,"stream":true,"started_at":1,"progress":null}"#;
        let read: HoldForm = serde_json::from_str(stored).unwrap();
        let hold = read.into_hold(at(60));
        assert_eq!((hold.estimate, hold.assigned), (Estimate::default(), None));
    }
}
