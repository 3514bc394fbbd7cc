//! `POST /api/v2/keys/bulk-edit`

use std::collections::BTreeMap;

use axum::response::Response;
use relay_domain::{ApiKey, KeyId};
use relay_engine::operator::{BULK_AT_ONCE, KeyEdit, KeyPreview, OperatorError};
use relay_store::KeyQuery;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::KeyFields;
use super::filter::KeySelection;
use super::view::KeyView;
use crate::admin::error::{ApiError, ErrorBody};
use crate::admin::idempotency::{Creation, IdempotencyKey};
use crate::admin::revision::Revised;
use crate::admin::session::Session;

/// A change of many keys.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ManyChanges {
    /// Which, by their ids: up to 1000. Either this or `filter`.
    #[schema(value_type = Option<Vec<String>>, max_items = 1000)]
    ids: Option<Vec<KeyId>>,
    /// Which, by what they are; deleted ones are left out.
    filter: Option<KeySelection>,
    /// The `revisions` of a preview: a key that has another by now, or is not among them, is not changed.
    #[schema(value_type = Option<BTreeMap<String, u64>>)]
    revisions: Option<BTreeMap<KeyId, u64>>,
    /// What is done to each.
    changes: KeyFields,
    /// Only show what would be done.
    #[serde(default)]
    preview: bool,
}

/// What a change did to many keys, or would do.
#[derive(Serialize, ToSchema)]
pub(super) struct ManyOutcomes {
    /// Whether nothing was written.
    preview: bool,
    /// The revision that each key has which would be changed, by id; in a preview only.
    #[serde(skip_serializing_if = "Option::is_none")]
    revisions: Option<BTreeMap<String, u64>>,
    results: Vec<Outcome>,
    /// How many are as they were asked to be, or would be.
    succeeded: usize,
    /// How many are not: their errors say why.
    failed: usize,
}

/// What a change did to one key, or would do.
#[derive(Serialize, ToSchema)]
struct Outcome {
    id: String,
    /// How it is before the change; in a preview only.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<KeyView>,
    /// How it is afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<KeyView>,
    /// Why it was left as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody>,
}

impl Outcome {
    fn of_preview((id, outcome): (KeyId, Result<KeyPreview, OperatorError>)) -> Self {
        match outcome {
            Ok(KeyPreview { before, after }) => Self {
                id: id.into(),
                before: Some(before.into()),
                after: Some(after.into()),
                error: None,
            },
            Err(error) => Self::failed(id, error),
        }
    }

    fn of_change((id, outcome): (KeyId, Result<ApiKey, OperatorError>)) -> Self {
        match outcome {
            Ok(key) => Self { id: id.into(), before: None, after: Some(key.into()), error: None },
            Err(error) => Self::failed(id, error),
        }
    }

    fn failed(id: KeyId, error: impl Into<ApiError>) -> Self {
        let error = Some(error.into().body());
        Self { id: id.into(), before: None, after: None, error }
    }
}

/// Changes many API keys, each for itself: what fails for one is told for that one. With `preview` it only
/// shows what would be done.
#[utoipa::path(
    post,
    path = "/api/v2/keys/bulk-edit",
    tag = "API Keys",
    security(("bearerAuth" = [])),
    params(IdempotencyKey),
    request_body = ManyChanges,
    responses(
        (status = 200, body = ManyOutcomes),
        IdempotencyKey,
        ApiError,
    ),
)]
pub(super) async fn edit_keys(
    session: Session,
    asked: Creation<ManyChanges>,
) -> Result<Response, ApiError> {
    let (asked, repeatable) = asked.into_parts();
    Box::pin(repeatable.once(session.clone(), edit(session, asked))).await
}

async fn edit(session: Session, asked: ManyChanges) -> Result<Revised<ManyOutcomes>, ApiError> {
    let ids = chosen(&session, asked.ids, asked.filter).await?;
    let edit = asked.changes.into_edit(session.now())?;
    let edit: &KeyEdit<'_> = &edit;
    let mut revisions = None;
    let results: Vec<Outcome> = if asked.preview {
        let previews = session.operator().preview_keys(&ids, edit).await?;
        let seen = previews.iter().filter_map(|(id, preview)| {
            Some((id.to_string(), preview.as_ref().ok()?.before.revision))
        });
        revisions = Some(seen.collect());
        previews.into_iter().map(Outcome::of_preview).collect()
    } else {
        let (keys, unseen) = as_previewed(ids, asked.revisions.as_ref());
        let outcomes = session.operator().update_keys(session.actor(), &keys, edit).await?;
        let mut results: Vec<_> = outcomes.into_iter().map(Outcome::of_change).collect();
        for id in unseen {
            let known = session.operator().key(&id).await?.is_some();
            let error = if known { ApiError::NotPreviewed } else { ApiError::NotFound("API Key") };
            results.push(Outcome::failed(id, error));
        }
        results
    };
    let failed = results.iter().filter(|outcome| outcome.error.is_some()).count();
    let succeeded = results.len() - failed;
    let body = ManyOutcomes { preview: asked.preview, revisions, results, succeeded, failed };
    Ok(Revised { revision: None, body })
}

/// The keys, each with the revision that it must have; and those that a preview has not shown.
fn as_previewed(
    ids: Vec<KeyId>,
    revisions: Option<&BTreeMap<KeyId, u64>>,
) -> (Vec<(KeyId, Option<u64>)>, Vec<KeyId>) {
    let Some(revisions) = revisions else {
        return (ids.into_iter().map(|id| (id, None)).collect(), Vec::new());
    };
    let (seen, unseen): (Vec<_>, Vec<_>) =
        ids.into_iter().partition(|id| revisions.contains_key(id));
    let with_revision = |id: KeyId| {
        let revision = revisions.get(&id).copied();
        (id, revision)
    };
    (seen.into_iter().map(with_revision).collect(), unseen)
}

async fn chosen(
    session: &Session,
    ids: Option<Vec<KeyId>>,
    filter: Option<KeySelection>,
) -> Result<Vec<KeyId>, ApiError> {
    match (ids, filter) {
        (Some(ids), None) => Ok(ids),
        (None, Some(filter)) => {
            let query = KeyQuery {
                filter: filter.into_filter(Some(false), session.now()),
                // One more than may be changed, so that too many are refused and not cut.
                limit: BULK_AT_ONCE + 1,
                ..KeyQuery::default()
            };
            let page = session.operator().page_of_keys(&query).await?;
            if BULK_AT_ONCE < page.items.len() {
                let found = page.total.map_or_else(String::new, |total| format!(", {total},"));
                return Err(ApiError::bad_request(format!(
                    "filter matches more keys{found} than the {BULK_AT_ONCE} that can be changed at once"
                )));
            }
            Ok(page.items.into_iter().map(|key| key.id).collect())
        }
        (Some(_), Some(_)) | (None, None) => {
            Err(ApiError::Invalid { field: "ids", why: "or filter must be given, and not both" })
        }
    }
}
