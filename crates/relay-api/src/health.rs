//! Whether Relay is well: `/health` for people, `/livez` and `/readyz` for orchestrators. Open to all, and
//! told nobody more than that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use relay_domain::Timestamp;
use relay_engine::Clock;
use relay_store::{ConfigVersion, Ledger, StoreError};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::admin::{AdminParts, AdminState};

/// A store that has not answered after so long is away.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the process is about to stop: it ends what it has begun, and new requests should go elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// From now on the process is not ready.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Looks how Relay is.
pub(crate) struct HealthProbe {
    ledger: Arc<dyn Ledger>,
    store_kind: &'static str,
    environment: Option<String>,
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    draining: Draining,
    /// The latest versions that the store has told.
    latest: Mutex<ConfigVersion>,
    /// It was found emptied. What is put into it afterwards has versions that say nothing.
    was_emptied: AtomicBool,
}

/// What a look at the store has found.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Found {
    Well,
    Away,
    /// It is there, and takes no writes: it is full, or a replica.
    ReadOnly,
    /// Nothing was ever changed in it, though something had been: then, or at an earlier look.
    Emptied,
}

impl HealthProbe {
    pub(crate) fn new(parts: &AdminParts) -> Self {
        Self {
            ledger: Arc::clone(&parts.stores.ledger),
            store_kind: parts.store_kind,
            environment: parts.config.environment.clone(),
            clock: Arc::clone(&parts.clock),
            started_at: parts.clock.now(),
            draining: parts.draining.clone(),
            latest: Mutex::new(ConfigVersion { keys: 0, accounts: 0 }),
            was_emptied: AtomicBool::new(false),
        }
    }

    async fn look(&self) -> Found {
        // From before the question: what answers it was read later.
        let known = *self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let looking = async {
            let found = self.compare(known, self.ledger.version().await?);
            Ok::<_, StoreError>(match found {
                Found::Well => match self.ledger.is_ready().await {
                    Ok(()) => Found::Well,
                    Err(error) => {
                        tracing::warn!(%error, "the store takes no writes");
                        Found::ReadOnly
                    }
                },
                Found::Away | Found::ReadOnly | Found::Emptied => found,
            })
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the store is away");
                Found::Away
            }
            Err(_) => {
                tracing::warn!(timeout_s = PATIENCE.as_secs(), "the store does not answer");
                Found::Away
            }
        }
    }

    /// Versions begin at zero and rise. One that is a little older is no reason to stay away: a Redis that
    /// died may have lost its last moments.
    fn compare(&self, known: ConfigVersion, version: ConfigVersion) -> Found {
        let is_gone = |version: u64, known: u64| version == 0 && 0 < known;
        if is_gone(version.keys, known.keys) || is_gone(version.accounts, known.accounts) {
            self.was_emptied.store(true, Ordering::Relaxed);
        }
        if self.was_emptied.load(Ordering::Relaxed) {
            tracing::error!("the store was emptied: bring its data back, then start Relay anew");
            return Found::Emptied;
        }
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.keys = latest.keys.max(version.keys);
        latest.accounts = latest.accounts.max(version.accounts);
        Found::Well
    }
}

/// How Relay is.
#[derive(Serialize, ToSchema)]
struct Health {
    status: Wellness,
    /// Always `relay`.
    service: &'static str,
    version: &'static str,
    /// When this was said.
    #[schema(format = DateTime)]
    timestamp: String,
    /// How long the process has been serving, in seconds.
    uptime: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    components: Components,
}

/// What Relay stands on.
#[derive(Serialize, ToSchema)]
struct Components {
    store: StoreHealth,
}

/// How the store is.
#[derive(Serialize, ToSchema)]
struct StoreHealth {
    status: Wellness,
    /// `sqlite` or `redis`.
    kind: &'static str,
}

/// Well or not.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Wellness {
    Healthy,
    Unhealthy,
}

/// Whether requests should come.
#[derive(Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `ready`, or why not.
    pub(crate) status: &'static str,
}

/// The health endpoints with their documentation.
pub(crate) fn routes() -> OpenApiRouter<AdminState> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(livez)).routes(routes!(readyz))
}

/// Tells how Relay is.
#[utoipa::path(
    get,
    path = "/health",
    tag = "Health",
    responses(
        (status = 200, body = Health, description = "All is well"),
        (status = 503, body = Health, description = "The store is away"),
    ),
)]
async fn health(State(probe): State<Arc<HealthProbe>>) -> (StatusCode, Json<Health>) {
    let (code, status) = match probe.look().await {
        Found::Well => (StatusCode::OK, Wellness::Healthy),
        Found::Away | Found::ReadOnly | Found::Emptied => {
            (StatusCode::SERVICE_UNAVAILABLE, Wellness::Unhealthy)
        }
    };
    let now = probe.clock.now();
    let health = Health {
        status,
        service: "relay",
        version: env!("CARGO_PKG_VERSION"),
        timestamp: now.to_string(),
        uptime: now.since(probe.started_at).as_secs_f64(),
        environment: probe.environment.clone(),
        components: Components { store: StoreHealth { status, kind: probe.store_kind } },
    };
    (code, Json(health))
}

/// Tells that the process runs.
#[utoipa::path(get, path = "/livez", tag = "Health", responses((status = 200, body = Readiness)))]
async fn livez() -> Json<Readiness> {
    Json(Readiness { status: "live" })
}

/// Tells whether requests should come.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "Health",
    responses(
        (status = 200, body = Readiness),
        (status = 503, body = Readiness, description = "Not now; the status says why"),
    ),
)]
async fn readyz(State(probe): State<Arc<HealthProbe>>) -> (StatusCode, Json<Readiness>) {
    if probe.draining.has_begun() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { status: "draining" }));
    }
    let (code, status) = match probe.look().await {
        Found::Well => (StatusCode::OK, "ready"),
        Found::Away => (StatusCode::SERVICE_UNAVAILABLE, "the store is away"),
        Found::ReadOnly => (StatusCode::SERVICE_UNAVAILABLE, "the store takes no writes"),
        Found::Emptied => (StatusCode::SERVICE_UNAVAILABLE, "the store was emptied"),
    };
    (code, Json(Readiness { status }))
}
