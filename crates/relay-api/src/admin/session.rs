//! Who is logged in or acts with a token, and all that they can reach.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use relay_crypto::TokenSigner;
use relay_domain::{Actor, AdminToken, Timestamp, TokenScope};
use relay_engine::alerts::Alerts;
use relay_engine::operator::{Operator, OperatorError, TOKEN_PREFIX, actor_of_token};
use relay_engine::prices::PriceKeeper;
use relay_engine::{Clock, Engine};
use relay_store::UsageRepository;
use secrecy::SecretString;

use super::AdminParts;
use super::error::ApiError;
use super::extract::Origin;
use super::throttle::{Guesser, LoginThrottle};

/// The longest id of a request that is kept, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// Begins sessions and recognises them.
pub(crate) struct Sessions {
    operator: Arc<Operator>,
    engine: Arc<Engine>,
    prices: Arc<PriceKeeper>,
    alerts: Arc<Alerts>,
    usage: Arc<dyn UsageRepository>,
    signer: TokenSigner,
    clock: Arc<dyn Clock>,
    ttl: Duration,
    listens_on: Option<SocketAddr>,
    throttle: LoginThrottle,
}

impl Sessions {
    pub(super) fn new(parts: AdminParts) -> Self {
        Self {
            operator: parts.operator,
            engine: parts.engine,
            prices: parts.prices,
            alerts: parts.alerts,
            usage: parts.stores.usage,
            signer: parts.signer,
            clock: parts.clock,
            ttl: parts.config.session_ttl,
            listens_on: parts.config.listens_on,
            throttle: LoginThrottle::default(),
        }
    }

    /// How long a session lasts.
    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Begins a session; the token stands for it. `headers` may carry the token of an earlier one.
    pub(super) async fn begin(
        &self,
        username: String,
        password: &SecretString,
        origin: Origin,
        headers: &HeaderMap,
    ) -> Result<SecretString, ApiError> {
        let guesser = match self.earlier_session(&username, headers).await? {
            Some(token) => holder_of(token),
            None => Guesser::Place(origin.0),
        };
        let attempt = self.operator.login(&username, password);
        let login = match self.throttled(&guesser, &username, attempt).await {
            Err(ApiError::Operator(OperatorError::WrongPassword)) => {
                tracing::warn!(client.address = ?origin.0, "login refused");
                return Err(ApiError::LoginRefused);
            }
            login => login?,
        };
        tracing::info!(client.address = ?origin.0, "login");
        let address = origin.0.map(|address| address.to_string());
        let request_id = request_id(headers);
        let actor = Actor { address, request_id, ..Actor::admin(login.username.as_str()) };
        self.operator.note_login(&actor).await;
        let now_ms = self.clock.now().as_millis();
        let token = self.signer.issue(&login.username, login.session_epoch, now_ms, self.ttl);
        Ok(token.map_err(OperatorError::from)?)
    }

    /// The token of a session of `username`'s that has not been ended, though its time may be over: whoever
    /// presents it has been in before.
    async fn earlier_session<'a>(
        &self,
        username: &str,
        headers: &'a HeaderMap,
    ) -> Result<Option<&'a str>, ApiError> {
        let Some(token) = bearer(headers) else { return Ok(None) };
        // Whenever it was, the token was good.
        let Ok(claims) = self.signer.verify(token, 0) else { return Ok(None) };
        let stands = claims.username == username
            && self.operator.session_stands(&claims.username, claims.epoch).await?;
        Ok(stands.then_some(token))
    }

    /// Makes an attempt that tells whether a password is right, unless there were too many.
    async fn throttled<T>(
        &self,
        guesser: &Guesser,
        username: &str,
        attempt: impl Future<Output = Result<T, OperatorError>>,
    ) -> Result<T, ApiError> {
        self.throttle.begin(guesser, username, self.clock.now()).map_err(|wait| {
            // Whole seconds, and never too few.
            ApiError::Throttled {
                retry_after_s: wait.as_millis().div_ceil(1_000).try_into().unwrap_or(1),
            }
        })?;
        let outcome = attempt.await?;
        self.throttle.succeeded(guesser, username);
        Ok(outcome)
    }

    /// The session that the request's token stands for: of a login, or of automation.
    pub(super) async fn of_request(
        self: &Arc<Self>,
        headers: &HeaderMap,
        address: Option<IpAddr>,
    ) -> Result<Session, ApiError> {
        let token = bearer(headers).ok_or(ApiError::NoSession)?;
        let (quality, actor) = if token.starts_with(TOKEN_PREFIX) {
            let known = self.operator.authenticate_token(&token.into()).await?;
            let token = known.ok_or(ApiError::NoSession)?;
            let actor = actor_of_token(&token);
            (Quality::Token(Arc::new(token)), actor)
        } else {
            let now_ms = self.clock.now().as_millis();
            let claims = self.signer.verify(token, now_ms).map_err(|_| ApiError::NoSession)?;
            if !self.operator.session_stands(&claims.username, claims.epoch).await? {
                return Err(ApiError::NoSession);
            }
            (Quality::Login(holder_of(token)), Actor::admin(claims.username))
        };
        let username = match &quality {
            Quality::Login(_) => actor.name.clone(),
            Quality::Token(token) => token.name.clone(),
        };
        let actor = Actor {
            address: address.map(|address| address.to_canonical().to_string()),
            request_id: request_id(headers),
            ..actor
        };
        Ok(Session { username, actor, quality, sessions: Arc::clone(self) })
    }
}

/// In what quality somebody is in.
#[derive(Clone)]
enum Quality {
    /// Logged in; who holds the session's token, for guessing.
    Login(Guesser),
    /// With a token of automation.
    Token(Arc<AdminToken>),
}

/// A request of somebody who is in, and the way to all that they may reach.
#[derive(Clone)]
pub(super) struct Session {
    /// The operator's name, or the token's.
    pub(super) username: String,
    actor: Actor,
    quality: Quality,
    sessions: Arc<Sessions>,
}

impl Session {
    /// Who they are, for the trail of changes.
    pub(super) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The token of automation that they act with, if they do.
    pub(super) fn token(&self) -> Option<&AdminToken> {
        match &self.quality {
            Quality::Login(_) => None,
            Quality::Token(token) => Some(token),
        }
    }

    /// Whether they may do what `scope` names: whoever is logged in may do everything.
    pub(super) fn may(&self, scope: TokenScope) -> bool {
        self.token().is_none_or(|token| token.may(scope))
    }

    /// Where Relay itself listens.
    pub(super) fn listens_on(&self) -> Option<SocketAddr> {
        self.sessions.listens_on
    }

    /// What they may do.
    pub(super) fn operator(&self) -> &Operator {
        &self.sessions.operator
    }

    /// How accounts fare.
    pub(super) fn engine(&self) -> &Engine {
        &self.sessions.engine
    }

    /// What things cost.
    pub(super) fn prices(&self) -> &PriceKeeper {
        &self.sessions.prices
    }

    /// What an operator should hear of.
    pub(super) fn alerts(&self) -> &Alerts {
        &self.sessions.alerts
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
    ) -> Result<(), ApiError> {
        let holder = match &self.quality {
            Quality::Login(holder) => holder.clone(),
            Quality::Token(token) => Guesser::Holder(token.id.to_string()),
        };
        let attempt = self.operator().change_password(&self.actor, current, new);
        self.sessions.throttled(&holder, &self.username, attempt).await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = ApiError;

    /// The one that the guard has found.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or(ApiError::NoSession)
    }
}

/// Who holds `token`, by its signature.
fn holder_of(token: &str) -> Guesser {
    let signature = token.rsplit('.').next().unwrap_or_default();
    Guesser::Holder(signature.to_owned())
}

/// The id that whoever asks gave the request, if it can be kept.
fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    (1..=MAX_REQUEST_ID).contains(&id.len()).then(|| id.to_owned())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
