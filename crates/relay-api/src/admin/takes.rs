//! Refuses what an operation would not look at: parameters where its document names none, and a condition
//! where there is no revision to hold it against. A script that sends either means something by it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use http::header::IF_MATCH;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, PathItem, RefOr};

use super::error::ApiError;

/// What each operation of the document looks at, by method and path.
pub(super) struct Takes(HashMap<(Method, String), Taken>);

#[derive(Clone, Copy)]
struct Taken {
    /// Parameters of the query; whoever takes some refuses others by name.
    query: bool,
    condition: bool,
}

impl Takes {
    /// What the operations of the admin REST look at; health checks may be asked in any way.
    pub(super) fn of(document: &OpenApi) -> Arc<Self> {
        let paths = document.paths.paths.iter().filter(|(path, _)| path.starts_with("/api/"));
        let all = paths.flat_map(|(path, item)| {
            let taken = |(method, operation): (Method, &Operation)| {
                ((method, path.clone()), Taken::by(operation))
            };
            operations(item).map(taken)
        });
        Arc::new(Self(all.collect()))
    }
}

impl Taken {
    fn by(operation: &Operation) -> Self {
        let parameters = || {
            operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
                RefOr::T(parameter) => Some(parameter),
                RefOr::Ref(_) => None,
            })
        };
        Self {
            query: parameters().any(|one| one.parameter_in == ParameterIn::Query),
            condition: parameters().any(|one| one.name.eq_ignore_ascii_case(IF_MATCH.as_str())),
        }
    }
}

fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let all = [
        (Method::GET, &item.get),
        (Method::HEAD, &item.get),
        (Method::PUT, &item.put),
        (Method::POST, &item.post),
        (Method::DELETE, &item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// Lets a request pass that sends nothing that is not looked at.
pub(super) async fn refuse_untaken(
    State(takes): State<Arc<Takes>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let path = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let method = request.method().clone();
    let is_change = !method.is_safe();
    if let Some(taken) = takes.0.get(&(method, path.unwrap_or_default())) {
        let query = request.uri().query().unwrap_or_default();
        if !taken.query && !query.is_empty() {
            let name: String = query.chars().take_while(|letter| !"=&".contains(*letter)).collect();
            let message = format!("unknown field `{name}`: there are no parameters here");
            return Err(ApiError::bad_request(message));
        }
        if is_change && !taken.condition && request.headers().contains_key(IF_MATCH) {
            let why = "must be left out: what this does has no revision";
            return Err(ApiError::Invalid { field: "If-Match", why });
        }
    }
    Ok(next.run(request).await)
}
