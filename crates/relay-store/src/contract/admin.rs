//! What every [`AdminRepository`](crate::AdminRepository) owes its callers.

use super::fixture::{at, at_once};
use crate::{AdminCredentials, PasswordHash, Stores};

fn login(username: &str) -> AdminCredentials {
    AdminCredentials {
        username: username.to_owned(),
        password_hash: PasswordHash::new(format!("$argon2id$v=19$m=19456,t=2,p=1${username}")),
        session_epoch: 3,
        created_at: at(1),
        updated_at: at(2),
    }
}

/// There is no login, then there is one, and a second first one changes nothing.
pub async fn the_first_login_stays(stores: &Stores) {
    assert_eq!(stores.admin.credentials().await.unwrap(), None);
    assert!(stores.admin.initialise(&login("first")).await.unwrap());
    assert_eq!(stores.admin.credentials().await.unwrap(), Some(login("first")));
    assert!(!stores.admin.initialise(&login("second")).await.unwrap());
    assert_eq!(stores.admin.credentials().await.unwrap(), Some(login("first")));
}

/// Of processes that start at once one makes the login, whole.
pub async fn of_two_first_logins_one_wins(stores: &Stores) {
    let results = at_once(["one", "two", "three", "four"].map(|name| {
        let admin = stores.admin.clone();
        async move { admin.initialise(&login(name)).await.unwrap().then(|| login(name)) }
    }))
    .await;
    let winners: Vec<_> = results.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(stores.admin.credentials().await.unwrap().as_ref(), winners.first());
}

/// A login can be replaced in every field.
pub async fn a_login_can_be_replaced(stores: &Stores) {
    stores.admin.initialise(&login("first")).await.unwrap();
    let next = AdminCredentials {
        session_epoch: 4,
        created_at: at(8),
        updated_at: at(9),
        ..login("next")
    };
    assert!(!stores.admin.replace(&login("absent"), &next).await.unwrap());
    assert!(stores.admin.replace(&login("first"), &next).await.unwrap());
    assert_eq!(stores.admin.credentials().await.unwrap(), Some(next));
}

/// What was decided on a login that has changed since does not undo the change.
pub async fn a_login_that_has_changed_is_not_replaced(stores: &Stores) {
    let first = login("first");
    assert!(!stores.admin.replace(&first, &login("next")).await.unwrap(), "there is none yet");
    assert_eq!(stores.admin.credentials().await.unwrap(), None);
    stores.admin.initialise(&first).await.unwrap();
    let epoch = AdminCredentials { session_epoch: 2, ..first.clone() };
    let hash = AdminCredentials { password_hash: login("x").password_hash, ..first.clone() };
    for (name, expected) in [("another epoch", epoch), ("another password", hash)] {
        assert!(!stores.admin.replace(&expected, &login("next")).await.unwrap(), "{name}");
        assert_eq!(stores.admin.credentials().await.unwrap().as_ref(), Some(&first), "{name}");
    }
}

/// Of several who replace the same login one does.
pub async fn of_replacements_at_once_one_wins(stores: &Stores) {
    stores.admin.initialise(&login("first")).await.unwrap();
    let results = at_once(["one", "two", "three", "four"].map(|name| {
        let admin = stores.admin.clone();
        async move {
            let done = admin.replace(&login("first"), &login(name)).await.unwrap();
            done.then(|| login(name))
        }
    }))
    .await;
    let winners: Vec<_> = results.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(stores.admin.credentials().await.unwrap().as_ref(), winners.first());
}

/// Nobody was here before.
pub async fn a_fresh_store_has_no_predecessor(stores: &Stores) {
    assert_eq!(stores.admin.predecessor().await.unwrap(), None);
}
