//! An operator's login and sessions as the predecessors left them.

use std::time::Duration;

use relay_crypto::TokenSigner;
use relay_domain::Timestamp;
use serde_json::json;

use super::fixture::{NOW, Office, signer};

/// Known answers of the predecessors, as in `relay-crypto`'s vectors.
const LOGINS: [(&str, &str, &str); 3] = [
    (
        "v1's bcrypt",
        "S3cretPassw0rd",
        "$2a$10$abcdefghijklmnopqrstuuafHMtS1B3W5Ogp06c62F1mNQFNM2876",
    ),
    (
        "v2's scrypt",
        "adminpass123",
        "000102030405060708090a0b0c0d0e0f.7729d7e224c3d8465c53539348bef3f83a29081aaf3561fc3f0150d4f24985e926a08559d82f5633840becac29f4f4c5371f06c99f8723a487ce8feff0b39027",
    ),
    (
        "v2's scrypt, beyond ASCII",
        "pässwörd🔒",
        "000102030405060708090a0b0c0d0e0f.8ffc4720f021816676ce8b13633de1c8cd540e8a23b9aca8f2d84ec7f9a4dceeb79a5a43aaf6b829a37d9f4ecc6254abb1f0eb270bea1751cd6b9108ac1bbc9d",
    ),
];
const V2_SECRET: &str = "test-jwt-secret-32-characters-long-key";
const V2_TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VybmFtZSI6ImFkbWluIiwicm9sZSI6ImFkbWluIiwiaWF0IjoxNzk1NDA3ODkxLCJleHAiOjE3OTU0OTQyOTF9.pYHBhwwx8ZgD4JMVfm97xv05TuVFGHPS4bTo_uGXL0M";
/// When that token was issued.
const V2_ISSUED: Timestamp = Timestamp::from_millis(1_795_407_891_000);

async fn stored(office: &Office) -> String {
    let login = office.stores.admin.credentials().await.unwrap().unwrap();
    login.password_hash.as_stored().to_owned()
}

#[tokio::test]
async fn an_old_password_is_let_in_and_stored_anew() {
    for (name, password, hash) in LOGINS {
        let office = Office::taken_over("root", hash, signer(), NOW).await;
        office.log_in(1, None, "wrong").await.expect(401);
        assert_eq!(stored(&office).await, hash, "{name}: only the right one tells what to store");
        office.log_in(1, None, password).await.expect(200);
        let anew = stored(&office).await;
        assert!(anew.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{name}: {anew}");
        office.log_in(1, None, password).await.expect(200);
        office.log_in(1, None, "wrong").await.expect(401);
        assert_eq!(stored(&office).await, anew, "{name}");
    }
}

#[tokio::test]
async fn a_session_of_v2_goes_on_until_its_end_or_the_passwords() {
    let signer = || TokenSigner::new(&V2_SECRET.into());
    let (_, password, hash) = LOGINS[1];
    let office = Office::taken_over("admin", hash, signer(), V2_ISSUED).await;
    let me = office.get("/api/v2/auth/me", Some(V2_TOKEN)).await.expect(200).json();
    assert_eq!(me, json!({"username": "admin", "role": "admin"}));
    office.clock.advance(Duration::from_secs(86_399));
    office.get("/api/v2/auth/me", Some(V2_TOKEN)).await.expect(200);
    office.clock.advance(Duration::from_secs(1));
    office.get("/api/v2/auth/me", Some(V2_TOKEN)).await.expect(401);

    let office = Office::taken_over("admin", hash, signer(), V2_ISSUED).await;
    let change = json!({"currentPassword": password, "newPassword": "even longer"}).to_string();
    office.post("/api/v2/auth/change-password", Some(V2_TOKEN), &change).await.expect(200);
    office.get("/api/v2/auth/me", Some(V2_TOKEN)).await.expect(401);
    let stranger = Office::taken_over("root", hash, signer(), V2_ISSUED).await;
    stranger.get("/api/v2/auth/me", Some(V2_TOKEN)).await.expect(401);
}
