use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use relay_store::{AdminRepository, MockAdminRepository, StoreError};

use super::*;
use crate::operator::fixture::{Desk, NOW, refused_field, root};

async fn desk_with(password: &str) -> Desk {
    let desk = Desk::new();
    desk.operator.initialise_admin("root", Some(password.into())).await.unwrap();
    desk
}

async fn stored(desk: &Desk) -> AdminCredentials {
    desk.stores.admin.credentials().await.unwrap().unwrap()
}

#[tokio::test]
async fn the_first_start_makes_a_login_and_later_ones_leave_it() {
    let desk = Desk::new();
    let generated = desk.operator.initialise_admin("root", None).await.unwrap().unwrap();
    assert_eq!(generated.expose_secret().chars().count(), 20);
    assert!(desk.operator.login("root", &generated).await.is_ok());
    let again = desk.operator.initialise_admin("other", Some("another one".into())).await.unwrap();
    assert!(again.is_none());
    assert!(desk.operator.login("root", &generated).await.is_ok());
}

/// Makes the login, or not, and dies before it can say so.
struct Dying {
    real: Arc<dyn AdminRepository>,
    makes_it: bool,
}

#[async_trait]
impl AdminRepository for Dying {
    async fn credentials(&self) -> Result<Option<AdminCredentials>, StoreError> {
        self.real.credentials().await
    }

    async fn initialise(&self, credentials: &AdminCredentials) -> Result<bool, StoreError> {
        if self.makes_it {
            self.real.initialise(credentials).await?;
        }
        Err(StoreError::Unavailable("it died".into()))
    }

    async fn predecessor(&self) -> Result<Option<AdminCredentials>, StoreError> {
        self.real.predecessor().await
    }

    async fn replace(
        &self,
        expected: &AdminCredentials,
        next: &AdminCredentials,
    ) -> Result<bool, StoreError> {
        self.real.replace(expected, next).await
    }
}

#[tokio::test]
async fn a_password_that_was_made_up_is_shown_though_the_store_died_over_it() {
    for makes_it in [true, false] {
        let desk = Desk::new();
        let mut dying = desk.stores.clone();
        dying.admin = Arc::new(Dying { real: Arc::clone(&desk.stores.admin), makes_it });
        let mut made_up = None;
        let first =
            Desk::on(dying).operator.initialise_admin_again("root", None, &mut made_up).await;
        assert!(first.is_err());
        // The store is back.
        let shown = desk.operator.initialise_admin_again("root", None, &mut made_up).await;
        let shown = shown.unwrap().unwrap();
        assert!(desk.operator.login("root", &shown).await.is_ok(), "{makes_it}");
    }
    // Somebody else was first meanwhile.
    let desk = desk_with("long enough").await;
    let mut made_up = Some("made up before".into());
    let shown = desk.operator.initialise_admin_again("root", None, &mut made_up).await.unwrap();
    assert!(shown.is_none(), "what does not hold is not shown");
}

#[tokio::test]
async fn a_given_password_is_not_shown() {
    let desk = Desk::new();
    let shown = desk.operator.initialise_admin("root", Some("long enough".into())).await.unwrap();
    assert!(shown.is_none());
    assert!(desk.operator.login("root", &"long enough".into()).await.is_ok());
    assert!(stored(&desk).await.password_hash.as_stored().starts_with("$argon2id$"));
}

#[tokio::test]
async fn a_login_that_cannot_be_is_not_made() {
    let desk = Desk::new();
    let start = async |name: &str, password: &str| {
        refused_field(desk.operator.initialise_admin(name, Some(password.into())).await)
    };
    assert_eq!(start(" ", "long enough").await, "username");
    assert_eq!(start("root", "7 chars").await, "password");
    assert_eq!(desk.stores.admin.credentials().await.unwrap(), None);
}

#[tokio::test]
async fn only_the_right_name_and_password_are_let_in() {
    let desk = desk_with("long enough").await;
    let cases = [
        ("root", "long enough", true),
        ("root", "long enougH", false),
        ("root", "", false),
        ("Root", "long enough", false),
        ("nobody", "long enough", false),
    ];
    for (name, password, expected) in cases {
        match desk.operator.login(name, &password.into()).await {
            Ok(login) => assert!(expected && login.username == "root", "{name} {password}"),
            Err(OperatorError::WrongPassword) => assert!(!expected, "{name} {password}"),
            Err(other) => panic!("{other}"),
        }
    }
    let nobody = Desk::new().operator.login("root", &"long enough".into()).await;
    assert!(matches!(nobody, Err(OperatorError::WrongPassword)), "before the first start");
}

/// A login of v1's.
fn old_login() -> AdminCredentials {
    let hash = "$2a$10$abcdefghijklmnopqrstuuafHMtS1B3W5Ogp06c62F1mNQFNM2876".to_owned();
    AdminCredentials {
        username: "root".to_owned(),
        password_hash: PasswordHash::new(hash),
        session_epoch: 4,
        created_at: NOW,
        updated_at: NOW,
    }
}

#[tokio::test]
async fn an_old_hash_is_replaced_at_the_first_right_login() {
    let desk = Desk::new();
    desk.stores.admin.initialise(&old_login()).await.unwrap();
    desk.operator.login("root", &"wrong password".into()).await.unwrap_err();
    assert_eq!(stored(&desk).await, old_login());

    desk.operator.login("root", &"S3cretPassw0rd".into()).await.unwrap();
    let renewed = stored(&desk).await;
    assert!(renewed.password_hash.as_stored().starts_with("$argon2id$"));
    assert_eq!(renewed.session_epoch, 4, "no session ends by it");
    assert!(desk.operator.login("root", &"S3cretPassw0rd".into()).await.is_ok());
}

#[tokio::test]
async fn a_store_that_cannot_write_keeps_nobody_out() {
    let mut admin = MockAdminRepository::new();
    admin.expect_credentials().returning(|| Ok(Some(old_login())));
    admin.expect_replace().times(1).returning(|_, _| Err(StoreError::Refused("read-only".into())));
    let mut stores = Desk::new().stores;
    stores.admin = Arc::new(admin);
    assert!(Desk::on(stores).operator.login("root", &"S3cretPassw0rd".into()).await.is_ok());
}

/// A store whose login is `later` as soon as it was read once; what is decided on the first is refused.
fn changed_meanwhile(later: AdminCredentials) -> Operator {
    let mut admin = MockAdminRepository::new();
    let mut first = Some(old_login());
    let changed = later.clone();
    admin
        .expect_credentials()
        .returning(move || Ok(Some(first.take().unwrap_or_else(|| changed.clone()))));
    admin.expect_replace().returning(move |expected, _| Ok(*expected == later));
    let mut stores = Desk::new().stores;
    stores.admin = Arc::new(admin);
    Desk::on(stores).operator
}

#[tokio::test]
async fn a_change_meanwhile_is_never_undone() {
    let reset = AdminCredentials {
        password_hash: PasswordHash::new(password::hash(&"other password".into()).unwrap()),
        session_epoch: 5,
        ..old_login()
    };
    let rehashed = AdminCredentials {
        password_hash: PasswordHash::new(password::hash(&"S3cretPassw0rd".into()).unwrap()),
        ..old_login()
    };
    let (right, new) = ("S3cretPassw0rd".into(), "even longer".into());
    let login = changed_meanwhile(reset.clone()).login("root", &right).await.unwrap();
    assert_eq!(login.session_epoch, 4, "its session is over already");
    let changed = changed_meanwhile(reset.clone()).change_password(&root(), &right, &new).await;
    assert!(matches!(changed, Err(OperatorError::WrongPassword)), "{changed:?}");
    changed_meanwhile(rehashed).change_password(&root(), &right, &new).await.unwrap();
    changed_meanwhile(reset).reset_password().await.unwrap();
}

#[tokio::test]
async fn a_login_that_changes_all_the_time_is_given_up() {
    let mut admin = MockAdminRepository::new();
    admin.expect_credentials().returning(|| Ok(Some(old_login())));
    admin.expect_replace().times(1..).returning(|_, _| Ok(false));
    let mut stores = Desk::new().stores;
    stores.admin = Arc::new(admin);
    let reset = Desk::on(stores).operator.reset_password().await;
    assert!(matches!(reset, Err(OperatorError::Store(StoreError::Unavailable(_)))), "{reset:?}");
}

#[tokio::test]
async fn a_changed_password_ends_every_session() {
    let desk = desk_with("long enough").await;
    assert!(desk.operator.session_stands("root", 0).await.unwrap());
    assert!(!desk.operator.session_stands("other", 0).await.unwrap());

    let change = async |current: &str, new: &str| {
        desk.operator.change_password(&root(), &current.into(), &new.into()).await
    };
    let wrong = change("wrong", "even longer").await;
    assert!(matches!(wrong, Err(OperatorError::WrongPassword)), "{wrong:?}");
    assert_eq!(refused_field(change("long enough", "7 chars").await), "newPassword");
    assert!(desk.operator.session_stands("root", 0).await.unwrap());

    desk.clock.advance(Duration::from_secs(1));
    change("long enough", "even longer").await.unwrap();
    assert!(!desk.operator.session_stands("root", 0).await.unwrap());
    assert!(desk.operator.session_stands("root", 1).await.unwrap());
    assert!(desk.operator.login("root", &"even longer".into()).await.is_ok());
    assert!(desk.operator.login("root", &"long enough".into()).await.is_err());
    assert_eq!(stored(&desk).await.updated_at, NOW.plus(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_reset_password_ends_every_session() {
    let desk = desk_with("long enough").await;
    let password = desk.operator.reset_password().await.unwrap();
    assert!(!desk.operator.session_stands("root", 0).await.unwrap());
    assert_eq!(desk.operator.login("root", &password).await.unwrap().session_epoch, 1);
}

#[tokio::test]
async fn without_a_login_there_is_nothing_to_change() {
    let operator = Desk::new().operator;
    assert!(matches!(operator.reset_password().await, Err(OperatorError::NoLogin)));
    let changed =
        operator.change_password(&root(), &"long enough".into(), &"even longer".into()).await;
    assert!(matches!(changed, Err(OperatorError::NoLogin)));
    assert!(!operator.session_stands("root", 0).await.unwrap());
}

fn noted(password: &str) -> NotedLogin {
    NotedLogin { username: "cr_admin_abcd1234".to_owned(), password: password.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_login_of_v1_is_taken_over_from_the_store_before_its_note() {
    let left = AdminCredentials {
        username: "cr_admin_abcd1234".to_owned(),
        password_hash: PasswordHash::new(
            "$2a$10$abcdefghijklmnopqrstuuafHMtS1B3W5Ogp06c62F1mNQFNM2876".to_owned(),
        ),
        session_epoch: 0,
        created_at: NOW,
        updated_at: NOW,
    };
    let desk = Desk::new();
    let (mut admin, real) = (MockAdminRepository::new(), Arc::clone(&desk.stores.admin));
    let kept = Arc::clone(&real);
    admin.expect_credentials().returning(move || {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(kept.credentials())
        })
    });
    admin.expect_predecessor().returning(move || Ok(Some(left.clone())));
    admin.expect_initialise().returning(move |login| {
        let (real, login) = (Arc::clone(&real), login.clone());
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async move { real.initialise(&login).await })
        })
    });
    let stores = relay_store::Stores { admin: Arc::new(admin), ..desk.stores.clone() };
    let taken = Desk::on(stores).operator.take_over_login(Some(noted("another"))).await.unwrap();
    assert_eq!(taken, Some(TakenOver::Store));
    let password = "S3cretPassw0rd".into();
    assert!(desk.operator.login("cr_admin_abcd1234", &password).await.is_ok());
    assert!(stored(&desk).await.password_hash.as_stored().starts_with("$argon2id$"), "rehashed");
    assert_eq!(desk.operator.take_over_login(Some(noted("another"))).await.unwrap(), None);
}

#[tokio::test]
async fn the_login_that_v1_noted_is_taken_over_however_short() {
    let desk = Desk::new();
    assert_eq!(desk.operator.take_over_login(None).await.unwrap(), None);
    assert_eq!(
        desk.operator.take_over_login(Some(noted("short"))).await.unwrap(),
        Some(TakenOver::Note)
    );
    assert!(desk.operator.login("cr_admin_abcd1234", &"short".into()).await.is_ok());
    assert_eq!(desk.operator.take_over_login(Some(noted("other"))).await.unwrap(), None);
}
