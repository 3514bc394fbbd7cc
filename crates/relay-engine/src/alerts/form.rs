//! An event as endpoints and webhooks show it: flat, moments as texts, money in whole nano-dollars.

use relay_domain::{
    EventKind, LimitKind, LimitState, PenaltyReason, RecordedEvent, UnpricedTreatment,
};
use serde::Serialize;

/// An event as endpoints and webhooks show it. What it does not have is left out.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventForm {
    /// Its name; the same event has it wherever it is told.
    pub id: String,
    /// What happened, by its name.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// When, in RFC 3339.
    pub at: String,
    /// The API key that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The group of keys that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The account that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The model that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The threshold that was passed, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Which budget passed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitKind>,
    /// The unit of what follows: `nano_usd`, or `count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<&'static str>,
    /// What is used of the budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// What requests in flight hold of it besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<u64>,
    /// How much there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<u64>,
    /// When the budget starts anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<String>,
    /// Why an account rests or is refused, or from what it has recovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<PenaltyReason>,
    /// Until when. Left out: until an operator says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// What became of the cost of a request whose model has no price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub treatment: Option<UnpricedTreatment>,
}

impl From<&RecordedEvent> for EventForm {
    fn from(recorded: &RecordedEvent) -> Self {
        let RecordedEvent { id, event } = recorded;
        let of_all = Self {
            id: id.to_string(),
            kind: event.kind.name(),
            at: event.at.to_string(),
            key: event.kind.key().map(ToString::to_string),
            group: event.kind.group().map(ToString::to_string),
            account: event.kind.account().map(ToString::to_string),
            ..Self::default()
        };
        match &event.kind {
            EventKind::BudgetThreshold { percent, state, scope: _ } => {
                let LimitState { limit, used, held, allowed, resets_at } = *state;
                Self {
                    percent: Some(*percent),
                    limit: Some(limit),
                    unit: Some(if limit.is_money() { "nano_usd" } else { "count" }),
                    used: Some(used),
                    held: Some(held),
                    allowed: Some(allowed),
                    resets_at: resets_at.map(|at| at.to_string()),
                    ..of_all
                }
            }
            EventKind::ModelUnpriced { model, treatment, key: _, account: _ } => {
                Self { model: Some(model.to_string()), treatment: Some(*treatment), ..of_all }
            }
            EventKind::AccountCooled { model, reason, until, account: _ } => Self {
                model: model.as_ref().map(ToString::to_string),
                reason: Some(*reason),
                until: until.map(|at| at.to_string()),
                ..of_all
            },
            EventKind::AccountBlocked { reason, until, account: _ } => {
                Self { reason: Some(*reason), until: until.map(|at| at.to_string()), ..of_all }
            }
            EventKind::AccountRecovered { reason, account: _ } => {
                Self { reason: Some(*reason), ..of_all }
            }
            EventKind::WebhookTest => of_all,
        }
    }
}
