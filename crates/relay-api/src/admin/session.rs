//! Who is logged in, and all that they can reach.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use relay_crypto::TokenSigner;
use relay_domain::Timestamp;
use relay_engine::operator::{Operator, OperatorError};
use relay_engine::{Clock, Engine};
use relay_store::UsageRepository;
use secrecy::SecretString;

use super::AdminParts;
use super::error::ApiError;
use super::extract::Origin;
use super::throttle::LoginThrottle;

/// Begins sessions and recognises them.
pub(crate) struct Sessions {
    operator: Arc<Operator>,
    engine: Arc<Engine>,
    usage: Arc<dyn UsageRepository>,
    signer: TokenSigner,
    clock: Arc<dyn Clock>,
    ttl: Duration,
    throttle: LoginThrottle,
}

impl Sessions {
    pub(super) fn new(parts: AdminParts) -> Self {
        Self {
            operator: parts.operator,
            engine: parts.engine,
            usage: parts.stores.usage,
            signer: parts.signer,
            clock: parts.clock,
            ttl: parts.config.session_ttl,
            throttle: LoginThrottle::default(),
        }
    }

    /// How long a session lasts.
    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Begins a session; the token stands for it.
    pub(super) async fn begin(
        &self,
        username: String,
        password: &SecretString,
        origin: Origin,
    ) -> Result<SecretString, ApiError> {
        let attempt = self.operator.login(&username, password);
        let login = match self.throttled(username.clone(), origin, attempt).await {
            Err(ApiError::Operator(OperatorError::WrongPassword)) => {
                tracing::warn!("login refused");
                return Err(ApiError::LoginRefused);
            }
            login => login?,
        };
        let now_ms = self.clock.now().as_millis();
        let token = self.signer.issue(&login.username, login.session_epoch, now_ms, self.ttl);
        Ok(token.map_err(OperatorError::from)?)
    }

    /// Makes an attempt that tells whether a password is right, unless there were too many.
    async fn throttled<T>(
        &self,
        username: String,
        origin: Origin,
        attempt: impl Future<Output = Result<T, OperatorError>>,
    ) -> Result<T, ApiError> {
        let guesser = (username, origin.0);
        self.throttle.begin(&guesser, self.clock.now()).map_err(|wait| {
            // Whole seconds, and never too few.
            ApiError::Throttled {
                retry_after_s: wait.as_millis().div_ceil(1_000).try_into().unwrap_or(1),
            }
        })?;
        let outcome = attempt.await?;
        self.throttle.succeeded(&guesser);
        Ok(outcome)
    }

    /// The session that the request's token stands for.
    async fn of_request(self: &Arc<Self>, headers: &HeaderMap) -> Result<Session, ApiError> {
        let token = bearer(headers).ok_or(ApiError::NoSession)?;
        let now_ms = self.clock.now().as_millis();
        let claims = self.signer.verify(token, now_ms).map_err(|_| ApiError::NoSession)?;
        if !self.operator.session_stands(&claims.username, claims.epoch).await? {
            return Err(ApiError::NoSession);
        }
        Ok(Session { username: claims.username, sessions: Arc::clone(self) })
    }
}

/// A request of an operator who is logged in, and the way to all that they may reach.
pub(super) struct Session {
    /// Who it is.
    pub(super) username: String,
    sessions: Arc<Sessions>,
}

impl Session {
    /// What they may do.
    pub(super) fn operator(&self) -> &Operator {
        &self.sessions.operator
    }

    /// How accounts fare.
    pub(super) fn engine(&self) -> &Engine {
        &self.sessions.engine
    }

    /// What was used.
    pub(super) fn usage(&self) -> &dyn UsageRepository {
        &*self.sessions.usage
    }

    /// What time it is.
    pub(super) fn now(&self) -> Timestamp {
        self.sessions.clock.now()
    }

    /// Changes the password. Guessing the present one is as slow here as it is at the door.
    pub(super) async fn change_password(
        &self,
        current: &SecretString,
        new: &SecretString,
        origin: Origin,
    ) -> Result<(), ApiError> {
        let attempt = self.operator().change_password(current, new);
        self.sessions.throttled(self.username.clone(), origin, attempt).await
    }
}

impl<S> FromRequestParts<S> for Session
where
    S: Send + Sync,
    Arc<Sessions>: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Arc::<Sessions>::from_ref(state).of_request(&parts.headers).await
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
