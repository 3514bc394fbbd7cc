//! The operator's login: its first password, logging in, changing it.

use relay_crypto::{Verified, password};
use relay_domain::Actor;
use relay_store::{AdminCredentials, PasswordHash};
use secrecy::{ExposeSecret as _, SecretString};

use super::audit::Change;
use super::error::contended;
use super::{Operator, OperatorError, check_name};

/// The shortest password that is taken, in characters.
pub const MIN_PASSWORD_CHARS: usize = 8;

/// How often a password is set anew because the login was changed at the same time.
const ATTEMPTS: usize = 3;

/// A login that a v1 noted outside of the store, in clear.
#[derive(Clone, Debug)]
pub struct NotedLogin {
    /// The name.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// Where a login was taken over from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TakenOver {
    /// From its own place in the store.
    Store,
    /// From what v1 noted outside of it.
    Note,
}

impl Operator {
    /// Takes over the login that a v1 left, where there is none yet: the one in the store, else `noted`.
    /// Its password stays what it was, however short. `None`: there is a login, or nothing was left.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn take_over_login(
        &self,
        noted: Option<NotedLogin>,
    ) -> Result<Option<TakenOver>, OperatorError> {
        if self.stores.admin.credentials().await?.is_some() {
            return Ok(None);
        }
        if let Some(login) = self.stores.admin.predecessor().await? {
            // Its old hash is read, and replaced at the next login.
            let made = self.stores.admin.initialise(&login).await?;
            return Ok(made.then_some(TakenOver::Store));
        }
        let Some(NotedLogin { username, password }) = noted else { return Ok(None) };
        let now = self.clock.now();
        let hash = self.heavy(move || password::hash(&password)).await?;
        let login = AdminCredentials {
            username,
            password_hash: PasswordHash::new(hash),
            session_epoch: 0,
            created_at: now,
            updated_at: now,
        };
        Ok(self.stores.admin.initialise(&login).await?.then_some(TakenOver::Note))
    }

    /// Makes the login, at the first start of all. Returns the password if it had to be made up, to be
    /// shown once; `None` if `password` was given or there is a login already, which then stays.
    ///
    /// # Errors
    ///
    /// [`OperatorError::Invalid`] if the name is blank or the given password too short, or the store's.
    pub async fn initialise_admin(
        &self,
        username: &str,
        password: Option<SecretString>,
    ) -> Result<Option<SecretString>, OperatorError> {
        self.initialise_admin_again(username, password, &mut None).await
    }

    /// As [`initialise_admin`](Self::initialise_admin), for who tries again when the store dies: it may have made
    /// the login before it did. `made_up` keeps the password from one try to the next; it is returned as long as it
    /// is the one that holds.
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn initialise_admin_again(
        &self,
        username: &str,
        password: Option<SecretString>,
        made_up: &mut Option<SecretString>,
    ) -> Result<Option<SecretString>, OperatorError> {
        if let Some(login) = self.stores.admin.credentials().await? {
            return self.if_it_holds(&login, username, made_up.as_ref()).await;
        }
        check_name("username", username, 100, "must have 1 to 100 characters")?;
        let is_given = password.is_some();
        let password =
            password.unwrap_or_else(|| made_up.get_or_insert_with(password::generate).clone());
        let now = self.clock.now();
        let login = AdminCredentials {
            username: username.to_owned(),
            password_hash: self.hash("password", &password).await?,
            session_epoch: 0,
            created_at: now,
            updated_at: now,
        };
        // Another process may have been first since.
        let made = self.stores.admin.initialise(&login).await?;
        Ok((made && !is_given).then_some(password))
    }

    /// The password that was made up, if it is the one of `login`.
    async fn if_it_holds(
        &self,
        login: &AdminCredentials,
        username: &str,
        made_up: Option<&SecretString>,
    ) -> Result<Option<SecretString>, OperatorError> {
        let Some(password) = made_up.filter(|_| username == login.username) else {
            return Ok(None);
        };
        let verified = self.verify(password, &login.password_hash).await?;
        Ok((verified != Verified::No).then(|| password.clone()))
    }

    /// Checks a name and a password. A password that is stored in an old form is stored anew.
    ///
    /// An unknown name takes as long as a wrong password.
    ///
    /// # Errors
    ///
    /// [`OperatorError::WrongPassword`] without saying what was wrong, or the store's.
    pub async fn login(
        &self,
        username: &str,
        password: &SecretString,
    ) -> Result<AdminCredentials, OperatorError> {
        let Some(login) = self.stores.admin.credentials().await? else {
            let password = password.clone();
            self.heavy(move || password::hash(&password)).await?;
            return Err(OperatorError::WrongPassword);
        };
        let verified = self.verify(password, &login.password_hash).await?;
        if verified == Verified::No || username != login.username {
            return Err(OperatorError::WrongPassword);
        }
        if verified == Verified::YesButRehash {
            let password = password.clone();
            let hash = self.heavy(move || password::hash(&password)).await?;
            let next = AdminCredentials { password_hash: PasswordHash::new(hash), ..login.clone() };
            match self.stores.admin.replace(&login, &next).await {
                Ok(true) => return Ok(next),
                // The password was changed meanwhile, which must stand.
                Ok(false) => {}
                // A store that cannot write now must not keep the operator out.
                Err(error) => {
                    tracing::warn!(%error, "the password's old hash could not be replaced");
                }
            }
        }
        Ok(login)
    }

    /// Whether a session that `username` began in `epoch` still stands.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn session_stands(&self, username: &str, epoch: u64) -> Result<bool, OperatorError> {
        let login = self.stores.admin.credentials().await?;
        Ok(login.is_some_and(|login| login.username == username && login.session_epoch == epoch))
    }

    /// Replaces the password on behalf of `actor`, and ends every session.
    ///
    /// # Errors
    ///
    /// [`OperatorError::WrongPassword`] if `current` is wrong, or not right any more because the password
    /// was changed meanwhile; [`OperatorError::Invalid`] if `new` is too short,
    /// [`OperatorError::NoLogin`], or the store's, also if others change the login all the time.
    pub async fn change_password(
        &self,
        actor: &Actor,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<(), OperatorError> {
        for _ in 0..ATTEMPTS {
            let login = self.stores.admin.credentials().await?.ok_or(OperatorError::NoLogin)?;
            if self.verify(current, &login.password_hash).await? == Verified::No {
                return Err(OperatorError::WrongPassword);
            }
            if self.replace_password(actor, login, "newPassword", new).await? {
                return Ok(());
            }
        }
        Err(contended("the login"))
    }

    /// Makes up a new password and ends every session. For whoever has access to the machine.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NoLogin`], or the store's, also if others change the login all the time.
    pub async fn reset_password(&self) -> Result<SecretString, OperatorError> {
        let password = password::generate();
        for _ in 0..ATTEMPTS {
            let login = self.stores.admin.credentials().await?.ok_or(OperatorError::NoLogin)?;
            if self.replace_password(&Actor::shell(), login, "password", &password).await? {
                return Ok(password);
            }
        }
        Err(contended("the login"))
    }

    /// `false`: the login was changed since it was read.
    async fn replace_password(
        &self,
        actor: &Actor,
        login: AdminCredentials,
        field: &'static str,
        password: &SecretString,
    ) -> Result<bool, OperatorError> {
        let next = AdminCredentials {
            password_hash: self.hash(field, password).await?,
            session_epoch: login.session_epoch.saturating_add(1),
            updated_at: self.clock.now(),
            ..login.clone()
        };
        let done = self.stores.admin.replace(&login, &next).await?;
        if done {
            let (action, kind) = ("login.password", "login");
            let change = Change { action, kind, id: next.username, before: None, after: None };
            self.note(actor, change).await;
        }
        Ok(done)
    }

    async fn verify(
        &self,
        password: &SecretString,
        stored: &PasswordHash,
    ) -> Result<Verified, OperatorError> {
        let (password, stored) = (password.clone(), stored.clone());
        self.heavy(move || password::verify(&password, stored.as_stored())).await
    }

    /// The hash of a password that is long enough.
    async fn hash(
        &self,
        field: &'static str,
        password: &SecretString,
    ) -> Result<PasswordHash, OperatorError> {
        if password.expose_secret().chars().count() < MIN_PASSWORD_CHARS {
            return Err(OperatorError::Invalid { field, why: "must have at least 8 characters" });
        }
        let password = password.clone();
        self.heavy(move || password::hash(&password)).await.map(PasswordHash::new)
    }
}

#[cfg(test)]
mod tests;
