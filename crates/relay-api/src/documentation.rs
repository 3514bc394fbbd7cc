//! The documentation pages: Swagger UI at `/docs/`, and the document that it shows.
//!
//! All of it is part of the binary: no page of Relay loads anything from elsewhere.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use utoipa_swagger_ui::{Config, serve};

/// What the pages may do: show what this server serves and call it. Swagger UI sets styles of elements and
/// draws with images that it carries in its own text.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The pages, for the document that `/openapi.json` serves too.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(document: &str) -> Router<S> {
    let document: Arc<str> = document.into();
    let of_yaml = Arc::clone(&document);
    let json = move || {
        let document = document.to_string();
        async { ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], document) }
    };
    // JSON is YAML, too: whoever reads the one reads the other, and there is one document.
    let yaml = move || {
        let document = of_yaml.to_string();
        async { ([(CONTENT_TYPE, HeaderValue::from_static("application/yaml"))], document) }
    };
    let config = Arc::new(
        Config::from("/openapi.json").try_it_out_enabled(true).persist_authorization(false),
    );
    let index = Arc::clone(&config);
    Router::new()
        .route("/openapi.json", get(json.clone()))
        .route("/docs/json", get(json))
        .route("/docs/yaml", get(yaml))
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route("/docs/", get(async move || page("", &index)))
        .route("/docs/{file}", get(async move |Path(file): Path<String>| page(&file, &config)))
}

/// A file of Swagger UI.
fn page(file: &str, config: &Arc<Config<'static>>) -> Response {
    match serve(file, Arc::clone(config)) {
        Ok(Some(found)) => {
            let kind = HeaderValue::try_from(found.content_type)
                .unwrap_or(HeaderValue::from_static("application/octet-stream"));
            let headers = [(CONTENT_TYPE, kind), (CONTENT_SECURITY_POLICY, POLICY)];
            (headers, found.bytes.into_owned()).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::error!(error, "a page of the documentation cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
